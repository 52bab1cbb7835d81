// Reads a federated trace as Apollo's own gateway does.
import assert from "node:assert/strict";
import protobuf from "@apollo/usage-reporting-protobuf";

// The trace, and its nodes by their paths.
export function readTrace(ftv1) {
  const trace = protobuf.Trace.decode(Buffer.from(ftv1, "base64"));
  const nodes = new Map();
  const walk = (node, path) => {
    const here = [...path, node.responseName || node.index].join(".");
    assert.ok(node.startTime <= node.endTime && node.endTime <= trace.durationNs, here);
    nodes.set(here, node);
    node.child.forEach((child) => walk(child, [here]));
  };
  trace.root.child.forEach((node) => walk(node, []));
  return { trace, nodes };
}
