// Prisma 8's ORM commands, mounted from its own packages as its program `prisma` mounts them. That program brings the commands of Prisma's
// platform too, and with them 1 GB of packages that no test needs.
import { readFileSync } from 'node:fs'
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

process.exitCode = await cli.run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  cwd: process.cwd(),
  env: process.env,
  isTty: { stdin: false, stdout: false, stderr: false },
  outputStreamsShareDevice: false,
  exit: (code) => process.exit(code),
  onSignal: () => () => {},
  loadConfig: (configPath) => loadConfig(process.cwd(), configPath, version),
  credentialManager: new EnvironmentCredentialManager({ env: process.env }),
})
