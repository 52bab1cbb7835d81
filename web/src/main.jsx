import { createRoot } from "react-dom/client";
import "graphiql/style.css";
import "./page.css";
import "./workers.js";
import { Page } from "./page.jsx";
import { takeFromAddress } from "./token.js";

takeFromAddress();
// An address with a token that is pasted into a tab which has the page already loads nothing anew.
addEventListener("hashchange", () => {
  if (new URLSearchParams(location.hash.slice(1)).has("token")) location.reload();
});
createRoot(document.getElementById("root")).render(<Page />);
