import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { EXAMPLES, variablesOf } from "./examples.js";

const Icon = () => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
    <path d="M4 6h16M4 12h16M4 18h10" strokeLinecap="round" />
  </svg>
);

function Examples() {
  const { addTab, setOperationName } = useGraphiQLActions();
  const { queryEditor, variableEditor } = useGraphiQL((state) => ({
    queryEditor: state.queryEditor,
    variableEditor: state.variableEditor,
  }));
  const open = (example) => {
    // Where something is already written it stays.
    if (queryEditor.getValue().trim()) addTab();
    variableEditor.setValue(variablesOf(example));
    queryEditor.setValue(example.query);
    setOperationName(example.query.match(/^\w+ (\w+)/)[1]);
    queryEditor.focus();
  };
  return (
    <div className="drr-examples">
      <div className="graphiql-doc-explorer-title">Examples</div>
      <ul>
        {EXAMPLES.map((example) => (
          <li key={example.title}>
            <button type="button" disabled={!queryEditor} onClick={() => open(example)}>
              <strong>{example.title}</strong>
              <span>{example.about}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The panel that has them. */
export const EXAMPLES_PLUGIN = { title: "Examples", icon: Icon, content: Examples };
