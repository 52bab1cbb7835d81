// The token: handed over in the fragment of the address, which no browser sends anywhere, and kept
// for as long as this tab is open.

const KEY = "drr:token";

/** Takes the token out of the address, so that it is in no bookmark and in nobody's history. */
export function takeFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  keep(token);
}

export function kept() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function keep(token) {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
}

/** A token as people paste it: with the name of its scheme, in quotes, over several lines. */
export function cleaned(text) {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/^["']|["']$/g, "")
    .replace(/^(authorization:\s*)?bearer\s+/i, "")
    .replaceAll(" ", "");
}

/** What a token says of itself, unverified, to be shown; null for what is no token. */
export function claims(token) {
  try {
    const [, payload] = token.split(".");
    const binary = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const { tenant_id: tenant, role, exp } = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof exp !== "number") return null;
    return { tenant: String(tenant), role: String(role), expiresAt: exp * 1000 };
  } catch {
    return null;
  }
}
