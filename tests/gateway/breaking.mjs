// What a change of the SDL breaks: for clients (graphql-js knows that) and for a supergraph (keys, and
// what becomes hidden or is not shared any more).
import { buildASTSchema, findBreakingChanges, findDangerousChanges, parse } from "graphql";

// Federation's directives are defined elsewhere.
const schema = (document) => buildASTSchema(document, { assumeValidSDL: true });

function federated(document) {
  const said = new Map();
  const note = (place, node) =>
    said.set(place, new Set((node.directives ?? []).map(({ name, arguments: given }) =>
      name.value === "key" ? `@key ${given.find((one) => one.name.value === "fields").value.value}` : `@${name.value}`)));
  for (const type of document.definitions) {
    if (!type.name) continue;
    note(type.name.value, type);
    for (const field of type.fields ?? []) note(`${type.name.value}.${field.name.value}`, field);
  }
  return said;
}

export function compare(before, after) {
  const [old, now] = [parse(before), parse(after)];
  const breaking = findBreakingChanges(schema(old), schema(now)).map(({ description }) => description);
  const dangerous = findDangerousChanges(schema(old), schema(now)).map(({ description }) => description);
  const saidNow = federated(now);
  for (const [place, said] of federated(old)) {
    const still = saidNow.get(place);
    if (!still) continue; // graphql-js has it.
    const lost = (one) => said.has(one) && !still.has(one);
    for (const key of [...said].filter((one) => one.startsWith("@key "))) {
      if (lost(key)) breaking.push(`${place} lost ${key}.`);
    }
    if (lost("@shareable")) breaking.push(`${place} is not @shareable any more.`);
    if (!said.has("@inaccessible") && still.has("@inaccessible")) breaking.push(`${place} became @inaccessible.`);
  }
  return { breaking, dangerous };
}

// Whether a version may break what the other one had: semantic versioning, where 0.x counts as x.
export function mayBreak(before, after) {
  const major = (version) => {
    const [first, second] = version.replace(/^v/, "").split(".").map(Number);
    return [first, first === 0 ? second : 0];
  };
  const [old, now] = [major(before), major(after)];
  return now[0] > old[0] || (now[0] === old[0] && now[1] > old[1]);
}
