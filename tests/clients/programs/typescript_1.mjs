// The TypeScript SDK's first generation: calls the tools that it reads of on stdin, a line each.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const { server, answer } = JSON.parse(process.argv[1]);
const client = new Client({ name: 'typescript-1', version: '1' }, { capabilities: answer ? { elicitation: {} } : {} });
if (answer) client.setRequestHandler(ElicitRequestSchema, () => answer);
await client.connect(new StdioClientTransport(server));
// Knowing them, it validates what they answer.
await client.listTools();
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await client.callTool(JSON.parse(line))));
}
await client.close();
