import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

/** Packs what the test run has built into a folder; gives the path of the tarball. */
export async function pack(folder: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
  return join(folder, JSON.parse(stdout)[0].filename)
}

/** Environment of a user's project: without the servers of the test run, and without questions and downloads of its tools. */
export function userEnvironment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    // The project says where its servers are.
    DATABASE_URL: undefined,
    KAFKA_BROKERS: undefined,
    // Prisma's own commands run on its schema engine as WebAssembly: the native one is a download from another host than npm's.
    PRISMA_SCHEMA_ENGINE_BINARY: join(root, 'test', 'support', 'schema-engine.mjs'),
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
    NO_COLOR: '1',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_prefer_offline: 'true',
  }
}

/** Runs commands in a folder; gives what they print, throws with it if one fails. */
export async function shellIn(folder: string, text: string, env: NodeJS.ProcessEnv = userEnvironment()): Promise<string> {
  try {
    return (await run('bash', ['-e', '-c', text], { cwd: folder, env, maxBuffer: 2 ** 26 })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${text}\n${stdout}${stderr}`)
  }
}
