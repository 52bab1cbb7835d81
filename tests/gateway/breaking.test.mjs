// The SDL against that of the last tagged version: a breaking change needs a version that may break.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { compare, mayBreak } from "./breaking.mjs";

const root = new URL("../../", import.meta.url).pathname;
const git = (...of) =>
  execFileSync("git", ["-c", "safe.directory=*", "-C", root, ...of], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
const now = await readFile(new URL("../../schema.graphql", import.meta.url), "utf8");
const version = (await readFile(new URL("../../Cargo.toml", import.meta.url), "utf8")).match(/^version = "(.*)"/m)[1];

test("what breaks is found, in this very schema", () => {
  assert.deepEqual(compare(now, now), { breaking: [], dangerous: [] });
  const changed = (from, to) => {
    assert.ok(now.includes(from), from);
    return compare(now, now.replace(from, to)).breaking;
  };
  for (const [from, to, found] of [
    ["\turn: String!", "\tname_: String!", "Dataset.urn was removed."],
    ["\tversion: BigInt!", "\tversion: BigInt", "Dataset.version changed type from BigInt! to BigInt."],
    ["\tWORST_FIRST\n", "\tWORST\n", "WORST_FIRST was removed from enum type DatasetOrder."],
    ['type Dataset @key(fields: "id") @key(fields: "namespace name")', 'type Dataset @key(fields: "id")', "Dataset lost @key namespace name."],
    ["type PageInfo @shareable", "type PageInfo", "PageInfo is not @shareable any more."],
    ["\n\tdataset(", "\n\tdatasetById(", "Query.dataset was removed."],
    ["\turn: String!", "\turn: String! @inaccessible", "Dataset.urn became @inaccessible."],
  ]) {
    const breaking = changed(from, to);
    assert.ok(breaking.includes(found), `${found}\n${breaking.join("\n")}`);
  }
  // What is added, and who may have it, breaks nobody's composition.
  assert.deepEqual(changed("\turn: String!", "\turn: String!\n\tnew: Int"), []);
});

test("a version breaks by its first number that is not zero", () => {
  for (const [before, after, may] of [
    ["v0.1.0", "0.1.1", false], ["v0.1.9", "0.2.0", true], ["v0.9.0", "1.0.0", true],
    ["v1.2.0", "1.9.0", false], ["v1.2.0", "2.0.0", true], ["v1.0.0", "1.0.0", false], ["v1.0.0", "0.9.0", false],
  ]) {
    assert.equal(mayBreak(before, after), may, `${before} → ${after}`);
  }
});

test("nothing is broken since the last tagged version", (context) => {
  let tag;
  try {
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").trim();
  } catch {
    context.diagnostic("NO VERSION IS TAGGED: schema.graphql was compared with nothing");
    return;
  }
  const { breaking, dangerous } = compare(git("show", `${tag}:schema.graphql`), now);
  for (const change of dangerous) context.diagnostic(`since ${tag}, take care: ${change}`);
  if (mayBreak(tag, version)) {
    for (const change of breaking) context.diagnostic(`broken since ${tag}, as ${version} may: ${change}`);
    return;
  }
  assert.deepEqual(breaking, [], `broken since ${tag}; ${version} may not`);
});
