import { defineConfig } from 'vitepress'

// The site of the documentation. It has no pages of its own: the sources are the Markdown files that GitHub and the npm package show.

const page = (text: string, link: string) => ({ text, link })

const repository = 'https://github.com/prisma-extension-outbox/prisma-extension-outbox'

export default defineConfig({
  title: 'prisma-extension-outbox',
  description: 'Transactional outbox for Prisma and PostgreSQL',
  srcDir: 'pages',
  rewrites: { 'README.md': 'index.md', 'docs/README.md': 'docs/index.md' },
  cleanUrls: true,
  // Files of the repository that are no pages. Every other dead link fails the build.
  ignoreDeadLinks: [/localhost/, /\/LICENSE$/, /\/(examples|demo|bench)\//],
  themeConfig: {
    search: { provider: 'local' },
    editLink: { pattern: `${repository}/edit/main/:path` },
    socialLinks: [{ icon: 'github', link: repository }],
    nav: [
      page('Quick start', '/#quick-start'),
      page('Documentation', '/docs/'),
      { text: 'API', link: '/api/index.html', target: '_self' },
      page('Changelog', '/CHANGELOG'),
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          page('Quick start', '/#quick-start'),
          page('Enqueue', '/docs/guides/enqueue'),
          page('Enqueue from SQL', '/docs/guides/enqueue-from-sql'),
          page('Prisma 8', '/docs/guides/prisma-8'),
          page('Typed events', '/docs/guides/typed-events'),
          page('First consumer', '/docs/tutorial/first-consumer'),
          page('Break it', '/docs/tutorial/break-it'),
          page('Testing', '/docs/testing'),
          page('FAQ', '/docs/faq'),
        ],
      },
      {
        text: 'Operate',
        items: [
          page('Run the relay', '/docs/guides/run-the-relay'),
          page('Deploy', '/docs/guides/deploy'),
          page('Kubernetes', '/docs/guides/kubernetes'),
          page('Serverless and cron', '/docs/guides/serverless'),
          page('Production checklist', '/docs/guides/production-checklist'),
          page('TLS and login', '/docs/guides/kafka-auth'),
          page('Kafka services', '/docs/guides/kafka-providers'),
          page('PostgreSQL services', '/docs/guides/postgres-providers'),
          page('Database roles', '/docs/guides/database-roles'),
          page('Multi-tenant', '/docs/guides/multi-tenant'),
          page('Monitoring', '/docs/guides/monitoring'),
          page('Traces', '/docs/guides/tracing'),
          page('Operating', '/docs/operating'),
          page('Tuning', '/docs/guides/tuning'),
          page('Upgrade', '/docs/guides/upgrade'),
          page('Migrate from', '/docs/guides/migrate-from'),
        ],
      },
      {
        text: 'Fix',
        items: [
          page('Troubleshooting', '/docs/troubleshooting'),
          page('Dead letters', '/docs/guides/dead-letters'),
          page('Runbook', '/docs/runbook'),
        ],
      },
      {
        text: 'More guides',
        items: [
          page('Consumers', '/docs/consumers'),
          page('When a consumer fails', '/docs/guides/consumer-failures'),
          page('Watch a consumer', '/docs/guides/consumer-monitoring'),
          page('Read models', '/docs/guides/projections'),
          page('Schema changes', '/docs/guides/schema-evolution'),
          page('NestJS', '/docs/guides/nestjs'),
          page('Next.js', '/docs/guides/nextjs'),
          page('Embed the relay', '/docs/guides/embed-the-relay'),
          page('TypeScript, Jest and bundlers', '/docs/guides/typescript-jest-bundlers'),
          page('Kafka clients', '/docs/guides/kafka-clients'),
          page('Compression', '/docs/guides/compression'),
          page('Prove it', '/docs/guides/prove'),
        ],
      },
      {
        text: 'Reference',
        items: [
          page('Command line', '/docs/reference/cli'),
          page('Configuration', '/docs/reference/configuration'),
          page('Message', '/docs/reference/message'),
          page('Kafka record', '/docs/reference/kafka-record'),
          page('Tables', '/docs/reference/tables'),
          page('Errors', '/docs/reference/errors'),
          page('Checks of doctor', '/docs/reference/doctor'),
          page('Events and log lines', '/docs/reference/events'),
          page('Metrics', '/docs/reference/metrics'),
          page('Compatibility', '/docs/reference/compatibility'),
        ],
      },
      {
        text: 'Concepts',
        items: [
          page('How it works', '/docs/concepts/how-it-works'),
          page('Guarantees', '/docs/guarantees'),
          page('Exactly once', '/docs/concepts/exactly-once'),
          page('Failure modes', '/docs/concepts/failure-modes'),
          page('Protocol', '/docs/protocol'),
          page('Protocol of the application', '/docs/protocol-application'),
          page('Protocol of the exactly-once mode', '/docs/protocol-exactly-once'),
          page('Design decisions', '/docs/design-decisions'),
          page('Comparison', '/docs/concepts/comparison'),
          page('Benchmarks', '/docs/benchmarks'),
          page('Evidence', '/docs/evidence'),
          page('Verification', '/docs/verification'),
          page('Glossary', '/docs/concepts/glossary'),
        ],
      },
    ],
  },
})
