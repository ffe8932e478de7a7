import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { settings } from '../../src/cli/settings.ts'
import { relayDefaults } from '../../src/relay/options.ts'
import type { Setting } from '../../src/running/setting.ts'
import { pythonWith } from '../support/python.ts'

const run = promisify(execFile)
const ops = fileURLToPath(new URL('../../ops', import.meta.url))
const kubernetes = join(ops, 'kubernetes')
const text = (...path: string[]) => readFileSync(join(ops, ...path), 'utf8')

/** Variables that the program reads, with those that name a file. */
const variables = new Set(Object.values<Setting>(settings).flatMap(({ env }) => (env ? [env, `${env}_FILE`] : [])))

describe('kubernetes', () => {
  const manifests = ['deployment.yaml', 'pod-disruption-budget.yaml', 'drain-cron-job.yaml']
  let python: string | undefined
  beforeAll(async () => {
    python = await pythonWith('kubernetes-validate')
  }, 120_000)
  beforeEach((context) => {
    if (!python) context.skip('python3 with venv is not on this machine')
  })
  const validate = (file: string) => run(python!, ['-m', 'kubernetes_validate', '--strict', '--kubernetes-version', '1.34', file])

  test.each(manifests)("%s fits the API's schema, without fields that it does not know", async (file) => {
    await expect(validate(join(kubernetes, file))).resolves.toBeDefined()
  })

  test('and a field that is misspelled would be found', async () => {
    const broken = join(mkdtempSync(join(tmpdir(), 'manifest-')), 'deployment.yaml')
    writeFileSync(broken, text('kubernetes', 'deployment.yaml').replace('replicas:', 'replicaz:'))
    await expect(validate(broken)).rejects.toThrow()
  })

  test('the kustomization names every file, and no other', () => {
    const named = [...text('kubernetes', 'kustomization.yaml').matchAll(/- ([a-z-]+\.yaml)$/gm)].map(([, file]) => file)
    expect(named.toSorted()).toEqual(
      readdirSync(kubernetes)
        .filter((file) => file !== 'kustomization.yaml')
        .toSorted(),
    )
  })

  test('kubectl builds the kustomization, as it is and with every file, and the result fits the schema', async (context) => {
    const build = (folder: string) => run('kubectl', ['kustomize', folder])
    const plain = await build(kubernetes).catch((error) => {
      if (error.code !== 'ENOENT') throw error
      context.skip('kubectl is not on this machine')
    })
    const kinds = (yaml: string) => [...yaml.matchAll(/^kind: (.*)$/gm)].map(([, kind]) => kind).toSorted()
    expect(kinds(plain!.stdout)).toEqual(['Deployment', 'PodDisruptionBudget'])
    const folder = mkdtempSync(join(tmpdir(), 'kustomization-'))
    cpSync(kubernetes, folder, { recursive: true })
    const every = text('kubernetes', 'kustomization.yaml').replaceAll(/^ {2}# - /gm, '  - ')
    writeFileSync(join(folder, 'kustomization.yaml'), every)
    expect(kinds((await build(folder)).stdout)).toEqual(['CronJob', 'Deployment', 'PodDisruptionBudget', 'PodMonitor'])
    writeFileSync(join(folder, 'built.yaml'), plain!.stdout)
    await expect(validate(join(folder, 'built.yaml'))).resolves.toBeDefined()
  })

  test.each(['deployment.yaml', 'drain-cron-job.yaml'])('%s sets variables that the relay reads', (file) => {
    const set = [...text('kubernetes', file).matchAll(/- name: ([A-Z_]+)$/gm)].map(([, name]) => name!)
    expect(set.length).toBeGreaterThan(1)
    for (const name of set) expect(variables).toContain(name)
  })

  test('a pod has more time to stop than its relay takes', () => {
    const graceS = Number(/terminationGracePeriodSeconds: (\d+)/.exec(text('kubernetes', 'deployment.yaml'))![1])
    expect(graceS * 1_000).toBeGreaterThan(relayDefaults.stopTimeoutMs + 2_000)
  })
})

describe('systemd', () => {
  test.each(readdirSync(join(ops, 'systemd')))('%s is a unit that systemd takes', async (unit) => {
    const folder = mkdtempSync(join(tmpdir(), 'unit-'))
    // Only the program is not where it will be.
    for (const file of readdirSync(join(ops, 'systemd')))
      writeFileSync(join(folder, file), text('systemd', file).replaceAll(/^ExecStart=\S+/gm, `ExecStart=${process.execPath}`))
    const { stderr } = await run('systemd-analyze', ['verify', join(folder, unit)])
    expect(stderr).toBe('')
  })
})
