// An official MCP client talks to `contree mcp`. Prints "ok NAME" for each thing that works.
//   node mcp_client.mjs old|new MODULES COMMAND ARGUMENT...
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import assert from 'node:assert';

const [era, modules, command, ...args] = process.argv.slice(2);
const require = createRequire(modules + '/');
const load = name => import(pathToFileURL(require.resolve(name)));

const [{ Client }, { StdioClientTransport }] = era === 'old'
  ? await Promise.all([load('@modelcontextprotocol/sdk/client/index.js'),
    load('@modelcontextprotocol/sdk/client/stdio.js')])
  : await Promise.all([load('@modelcontextprotocol/client'),
    load('@modelcontextprotocol/client/stdio')]);

const options = era === 'modern' ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {};
const client = new Client({ name: 'spec', version: '1' }, options);
await client.connect(new StdioClientTransport({ command, args, stderr: 'inherit',
  env: { LUA_PATH: process.env.LUA_PATH, LUA_CPATH: process.env.LUA_CPATH,
    PATH: process.env.PATH, HOME: process.env.HOME } }));

async function check(name, body) {
  await body();
  console.log('ok ' + name);
}
const call = async (name, given, more) => {
  const result = await client.callTool({ name, arguments: given }, ...(era === 'old'
    ? [undefined, more] : [more]));
  assert(!result.isError, JSON.stringify(result.content));
  return result.structuredContent;
};

await check('server', () => assert.equal(client.getServerVersion().name, 'contree-mcp'));
await check('tools', async () => assert((await client.listTools()).tools.length >= 25));
await check('prompts', async () => assert.equal((await client.listPrompts()).prompts.length, 10));
await check('prompt', async () => {
  const { messages } = await client.getPrompt({ name: 'run-shell', arguments: { command: 'ls' } });
  assert.match(messages[0].content.text, /ls/);
});
await check('resources', async () => {
  assert.equal((await client.listResources()).resources.length, 7);
  assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 5);
  const { contents } = await client.readResource({ uri: 'contree://guide/workflow' });
  assert.match(contents[0].text, /Workflow/);
});
await check('run', async () => {
  const made = await call('run', { command: 'echo hi', image: 'tag:busybox:latest' });
  assert.equal(made.metadata.result.stdout.value, 'hi\n');
});
await check('wrong arguments', async () => {
  const made = await client.callTool({ name: 'run', arguments: { comand: 'x' } });
  assert(made.isError);
  assert.match(made.content[0].text, /did you mean command/);
});
await check('unknown tool', () => assert.rejects(client.callTool({ name: 'nope', arguments: {} })));
await check('progress', async () => {
  const seen = [];
  await call('run', { command: 'sleep 5', image: 'tag:busybox:latest' },
    { onprogress: progress => seen.push(progress.progress) });
  assert(seen.length > 0);
});
await check('cancel', async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort('spec'), 1000);
  await assert.rejects(call('run', { command: 'sleep 92', image: 'tag:busybox:latest',
    timeout: 100 }, { signal: stop.signal }));
  for (let i = 0; i < 50; i++) {
    const { operations } = await call('list_operations', { status: 'EXECUTING' });
    if (operations.length === 0) return;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  assert.fail('the command still runs');
});
await check('many at once', async () => {
  const all = await Promise.all([...Array(20).keys()].map(i =>
    call('run', { command: 'echo ' + i, image: 'tag:busybox:latest' })));
  all.forEach((made, i) => assert.equal(made.metadata.result.stdout.value, i + '\n'));
});
await client.close();
