// The TypeScript SDK's second generation: calls the tools that it reads of on stdin, a line each.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const { server, mode, answers } = JSON.parse(process.argv[1]);
const asked = [];
const client = new Client(
  { name: 'typescript-2', version: '1' },
  { capabilities: answers.length ? { elicitation: {} } : {}, versionNegotiation: { mode } },
);
if (answers.length) {
  client.setRequestHandler('elicitation/create', ({ params }) => {
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
