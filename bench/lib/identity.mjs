// A caller's identity, as a plugin without an SDK gets it.
const cookie = { magicCookieKey: "CONNECT_PLUGIN", magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e" };

export async function postJson(url, message, headers = {}) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(message),
  });
  const body = await answer.json();
  if (answer.status !== 200) throw new Error(`${url} answered with ${answer.status}: ${JSON.stringify(body)}`);
  return body;
}

/**
 * Shakes hands with a host; resolves with the runtime id and the headers that calls need. With `requires`, the service types that it
 * will call, the host holds it to them.
 */
export async function join(hostUrl, selfId, requires) {
  const { runtimeId, runtimeToken } = await postJson(`${hostUrl}/connectplugin.v1.HandshakeService/Handshake`, {
    coreProtocolVersion: 1,
    appProtocolVersion: 1,
    ...cookie,
    selfId,
    selfVersion: "1.0.0",
    ...(requires && { declaration: { requires: requires.map((type) => ({ type })) } }),
  });
  return { runtimeId, headers: { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${runtimeToken}` } };
}
