// A conversation's host, as small as one can be: the official client, the official bridge, and a sandbox.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { AppBridge, PostMessageTransport, getToolUiResourceUri } from "@modelcontextprotocol/ext-apps/app-bridge";

const POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'none'";

const client = new Client({ name: "host", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", location.href)));
const { tools } = await client.listTools();
const uri = getToolUiResourceUri(tools.find((tool) => tool.name === "list_notifications"));
const { contents } = await client.readResource({ uri });
const given = JSON.parse(new URLSearchParams(location.search).get("arguments") ?? "{}");
const theme = new URLSearchParams(location.search).get("theme") ?? "light";
const result = await client.callTool({ name: "list_notifications", arguments: given });

const view = document.getElementById("view");
const bridge = new AppBridge(
  client,
  { name: "host", version: "1" },
  { serverTools: {}, serverResources: {}, logging: {} },
  { hostContext: { theme, displayMode: "inline", containerDimensions: { maxHeight: 2000 }, timeZone: "UTC" } },
);
window.host = { bridge, called: [] };
// The bridge hands the calls of the app on through the client.
const { request } = client;
client.request = function (asked, ...rest) {
  if (asked.method === "tools/call") window.host.called.push(asked.params);
  return request.call(this, asked, ...rest);
};
bridge.oninitialized = () => {
  bridge.sendToolInput({ arguments: given });
  bridge.sendToolResult(result);
};
bridge.onsizechange = ({ height }) => (view.style.height = `${height}px`);
view.srcdoc = contents[0].text.replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${POLICY}">`);
await bridge.connect(new PostMessageTransport(view.contentWindow, view.contentWindow));
