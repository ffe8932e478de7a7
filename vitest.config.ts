import { relative } from 'node:path'
import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that say how long something took: they run after the others, and no more at once than there are cores. */
const timed = ['test/ops/sampler.test.ts', 'test/proof/*.test.ts', 'test/recovery/recovery.test.ts']

/** Small files that take long: begun last, as vitest would, one of them would run alone for a minute. */
const long = [
  'test/cli/prove.test.ts',
  'test/package/quick-start.test.ts',
  'test/history/smoke.test.ts',
  'test/recovery/recovery.test.ts',
  'test/relay/brokers.test.ts',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => long.includes(relative(this.ctx.config.root, moduleId))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

const timeouts = { testTimeout: 60_000, hookTimeout: 120_000 }

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...timeouts,
          name: 'tests',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...timed],
          // Of two cores: most of a test is waiting for servers, leases and polls.
          maxWorkers: 4,
        },
      },
      { test: { ...timeouts, name: 'timed', include: timed, maxWorkers: 2, sequence: { groupOrder: 1 } } },
      {
        test: {
          name: 'types',
          include: [],
          typecheck: { enabled: true, only: true, include: ['test/**/*.test-d.ts'], tsconfig: './tsconfig.types.json' },
        },
      },
    ],
  },
})
