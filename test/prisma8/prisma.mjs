// Prisma 8's ORM commands, mounted from its own packages as its program `prisma` mounts them. That program brings the commands of Prisma's
// platform too, and with them 1 GB of packages that no test needs. Called by tests; run as a program by the quick start.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createCli, EnvironmentCredentialManager, loadConfig } from '@prisma/cli-engine'
import { ormCommandFamily } from '@prisma/orm-toolchain/cli'

const { version } = JSON.parse(
  readFileSync(new URL('./node_modules/@prisma/orm-toolchain/package.json', import.meta.url), 'utf8'),
)
const names = Object.keys(ormCommandFamily.commands)
const groups = new Set(
  names.flatMap((name) =>
    name
      .split(' ')
      .slice(0, -1)
      .map((_, i, words) => words.slice(0, i + 1).join(' ')),
  ),
)

const cli = createCli({
  name: 'prisma',
  version,
  commandFamilies: [ormCommandFamily],
  groups: Object.fromEntries([...groups].map((name) => [name, { brief: name }])),
  commands: ormCommandFamily.commands,
})

/** Runs a command in a folder, with these streams; resolves to its exit code. */
export function run(args, { cwd, env, stdin, stdout, stderr, exit }) {
  return cli.run(args, {
    stdout,
    stderr,
    stdin,
    cwd,
    env,
    isTty: { stdin: false, stdout: false, stderr: false },
    outputStreamsShareDevice: false,
    exit,
    onSignal: () => () => {},
    loadConfig: (configPath) => loadConfig(cwd, configPath, version),
    credentialManager: new EnvironmentCredentialManager({ env }),
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { env, stdin, stdout, stderr } = process
  const exit = (code) => process.exit(code)
  process.exitCode = await run(process.argv.slice(2), { cwd: process.cwd(), env, stdin, stdout, stderr, exit })
}
