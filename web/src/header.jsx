import { useEffect, useState } from "react";
import { claims, cleaned } from "./token.js";

/** The bar above the editor: whose token asks, until when, and the way to give another. */
export function Header({ token, onToken }) {
  const [editing, setEditing] = useState(!token);
  const [problem, setProblem] = useState("");
  const submit = (event) => {
    event.preventDefault();
    const next = cleaned(new FormData(event.target).get("token"));
    if (!claims(next)) {
      setProblem("This is no token: three parts with dots between them.");
      return;
    }
    setProblem("");
    setEditing(false);
    onToken(next);
  };
  return (
    <header className="drr-header">
      <span className="drr-name">drr</span>
      {editing ? (
        <form onSubmit={submit}>
          <input
            name="token"
            type="password"
            autoComplete="off"
            spellCheck="false"
            aria-label="Token"
            placeholder="Paste a token; it stays in this tab"
            autoFocus
          />
          <button type="submit">Use</button>
          {token && (
            <button type="button" onClick={() => setEditing(false)}>
              Cancel
            </button>
          )}
        </form>
      ) : (
        <>
          <Bearer token={token} />
          <button type="button" onClick={() => setEditing(true)}>
            Another token
          </button>
          <button
            type="button"
            onClick={() => {
              setEditing(true);
              onToken("");
            }}
          >
            Forget it
          </button>
        </>
      )}
      <span className="drr-problem" role="alert">
        {problem}
      </span>
    </header>
  );
}

function Bearer({ token }) {
  const said = claims(token);
  const expiresAt = said?.expiresAt ?? 0;
  const left = useLeft(expiresAt);
  if (!said) return <span className="drr-expired">What was given is no token</span>;
  const minutes = Math.ceil(left / 60_000);
  return (
    <span className="drr-bearer">
      <strong>{said.tenant}</strong> · {said.role} ·{" "}
      {left > 0 ? (
        <span>good for {minutes} min</span>
      ) : (
        <span className="drr-expired">has expired: give another</span>
      )}
    </span>
  );
}

/** The milliseconds until an instant, looked at anew every second. */
function useLeft(instant) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return instant - now;
}
