// What the page asks of the gateway, relative to where the page is: a proxy may have it below a path. The token is kept by this tab alone, and sent as a header: there are no cookies.

const KEY = `evframe-token ${location.pathname}`; // a proxy may have several gateways below one origin

/** Why a request has no answer; the status is 0 when the gateway cannot be reached. */
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Return the token of this tab, or null. */
export const token = () => sessionStorage.getItem(KEY);

/** Keep a token, or forget it with null. */
export function keepToken(value) {
  if (value === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, value);
}

function headers(more, given) {
  const bearer = given ?? token();
  return bearer ? { ...more, Authorization: `Bearer ${bearer}` } : { ...more };
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path.slice(1), { cache: "no-store", credentials: "omit", redirect: "error", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "the gateway cannot be reached");
  }
  if (response.ok) return response;
  let message = response.statusText;
  try {
    message = (await response.json()).error;
  } catch {
    // What is between the gateway and this page has answered.
  }
  throw new Problem(response.status, message);
}

/** Return the answer to a question. */
export async function get(path, params, given) {
  const query = new URLSearchParams(Object.entries(params ?? {}).filter(([, value]) => value !== "" && value !== null));
  const response = await send(query.size ? `${path}?${query}` : path, { headers: headers({}, given) });
  return response.json();
}

/** Return the result of a management command, which `get` or `act` has as JSON-RPC. */
export function result(answer) {
  if (answer.error) {
    const { message, data } = answer.error;
    throw new Problem(400, data ? `${message}: ${data}` : message);
  }
  return answer.result;
}

/** Call a command that changes something. */
export async function act(method, params) {
  const response = await send("/api/act", {
    method: "POST",
    headers: headers({ "Content-Type": "application/json" }),
    body: JSON.stringify({ method, params }),
  });
  return result(await response.json());
}

/** Read live events until `signal` is aborted; call `take(kind, lines)` with each. EventSource could send no token. */
export async function stream(pattern, signal, take) {
  const path = `/api/events?${new URLSearchParams({ pattern })}`;
  const response = await send(path, { headers: headers({ Accept: "text/event-stream" }), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const lines = frame.split("\n");
      const kind = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (kind) take(kind, data);
    }
  }
}
