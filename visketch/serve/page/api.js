// The page of the API, made of /openapi.json.

import { openapi } from "./backend.js";

const put = (parent, name, text) => parent.appendChild(Object.assign(document.createElement(name), { textContent: text }));
const words = document.getElementById("words");

const kind = (schema) => {
  const one = (schema.anyOf ?? [schema]).filter((each) => each.type !== "null").map((each) => each.type)[0];
  const range = [schema, ...(schema.anyOf ?? [])].find((each) => "minimum" in each && "maximum" in each);
  return range && one !== "array" ? `${one}, ${range.minimum} to ${range.maximum}` : one ?? "";
};

try {
  const { paths } = await openapi();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { description, summary, requestBody }] of Object.entries(methods)) {
      put(words, "h2", `${method.toUpperCase()} ${path}`);
      put(words, "p", description ?? summary);
      const schema = requestBody?.content["application/json"].schema;
      if (!schema) continue;
      const table = put(words, "table", "");
      for (const [name, field] of Object.entries(schema.properties)) {
        const row = put(table, "tr", "");
        put(put(row, "td", ""), "code", name);
        put(row, "td", schema.required?.includes(name) ? "needed" : `${field.default ?? ""}`);
        put(row, "td", kind(field));
        put(row, "td", field.description ?? "");
      }
      const example = path === "/v1/generate" ? `-H 'content-type: application/json' -d '{"class": "cat"}'` : "-F file=@cat.png";
      put(words, "pre", `curl ${example} ${location.origin}${path}`).tabIndex = 0; // it scrolls: with the keyboard too
    }
  }
} catch (problem) {
  put(words, "p", problem.message);
}
