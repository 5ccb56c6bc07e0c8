// The TypeScript SDK's first generation: calls the tools that it reads of on stdin, a line each.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const { server, answers } = JSON.parse(process.argv[1]);
const asked = [];
const client = new Client({ name: 'typescript-1', version: '1' }, {
  capabilities: answers.length ? { elicitation: {} } : {},
});
if (answers.length) {
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    asked.push(params.message);
    return answers.shift();
  });
}
await client.connect(new StdioClientTransport(server));
// Knowing them, it validates what they answer.
await client.listTools();
for await (const line of createInterface({ input: process.stdin })) {
  const result = await client.callTool(JSON.parse(line));
  console.log(JSON.stringify({ asked, result }));
}
await client.close();
