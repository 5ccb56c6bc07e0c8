// The TypeScript SDK's second generation: calls the tools that it reads of on stdin, a line each.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const { server, mode, answer } = JSON.parse(process.argv[1]);
const client = new Client(
  { name: 'typescript-2', version: '1' },
  { capabilities: answer ? { elicitation: {} } : {}, versionNegotiation: { mode } },
);
if (answer) client.setRequestHandler('elicitation/create', () => answer);
await client.connect(new StdioClientTransport(server));
// Knowing them, it validates what they answer.
await client.listTools();
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await client.callTool(JSON.parse(line))));
}
await client.close();
