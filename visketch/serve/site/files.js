// The files beside the page: the weights, the runtime, and the facts about them (classes, sizes, constants).

export const facts = async () => (await fetched("model.json")).json();

async function fetched(name) {
  const answer = await fetch(name).catch(() => null);
  if (!answer?.ok) throw new Error(`${name} could not be loaded; go online, and load the page again`);
  return answer;
}

export async function inflated(name) {
  const stream = (await fetched(name)).body.pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
