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

/** A file whose even bytes come first, then its odd ones: kernels in half precision are deflated a tenth smaller that way. */
export async function unpacked(name) {
  const packed = await inflated(name);
  const content = new Uint8Array(packed.length), odd = Math.ceil(packed.length / 2);
  for (let i = 0; i < packed.length; i++) content[i] = packed[i % 2 ? odd + (i >> 1) : i >> 1];
  return content;
}
