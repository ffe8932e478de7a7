import { type DynamicModule, type FactoryProvider, Inject, type ModuleMetadata } from '@nestjs/common'
import { DiscoveryModule, DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core'
import type { Kafka } from 'kafkajs'
import type { Catalog } from '../events/catalog.ts'
import { createInbox, type Inbox, type RunOptions } from '../inbox/inbox/inbox.ts'
import type { InboxOptions } from '../inbox/inbox/options.ts'
import type { Relay } from '../relay/relay.ts'
import { OutboxHealthIndicator } from './health.ts'
import { type Discovery, discoverHandlers, type HandlersByEvent } from './on-outbox-event.ts'

// The outbox in a NestJS application: relay and consumers live from bootstrap to shutdown, and methods with @OnOutboxEvent are the handlers of
// inboxes. Enqueueing needs nothing of it: the extended Prisma client does it.

/** Options of `createInbox` and `run`, and the kafkajs client. */
export interface ConsumerOptions<Client extends object, C extends Catalog>
  extends Omit<InboxOptions<Client, C, undefined>, 'handlers' | 'batch'>,
    RunOptions {
  /** Makes the consumers. */
  kafka: Pick<Kafka, 'consumer'>
  /** Is called with each inbox before it runs: for `inbox.on`, `inboxMetrics` and the like. */
  watch?: ((inbox: Inbox) => unknown) | undefined
}

/** What {@link OutboxModule} runs in this process. */
export interface OutboxModuleOptions<Client extends object, C extends Catalog> {
  /** A relay of `createRelay`, not started yet. @default none: one runs in another process */
  relay?: Relay | undefined
  /** How the handlers of this process are called. @default none: they are not */
  inbox?: ConsumerOptions<Client, C> | undefined
}

/** Options of {@link OutboxModule.forRootAsync}. */
export interface OutboxModuleAsyncOptions<Client extends object, C extends Catalog> extends Pick<ModuleMetadata, 'imports'> {
  /** Tokens of what `useFactory` gets. */
  inject?: FactoryProvider['inject']
  useFactory: (...injected: never[]) => OutboxModuleOptions<Client, C> | Promise<OutboxModuleOptions<Client, C>>
}

const OPTIONS = Symbol('OutboxModuleOptions')

type Services = [DiscoveryService, MetadataScanner, Reflector]

/** Starts and stops relay and consumers with the application. Import it once; it is global. Nest calls its methods. */
export class OutboxModule {
  readonly #options: OutboxModuleOptions<object, Catalog>
  readonly #discovery: Discovery
  #inboxes: Inbox[] = []

  /** @internal Use {@link OutboxModule.forRootAsync}. */
  constructor(options: OutboxModuleOptions<object, Catalog>, ...[discovery, scanner, reflector]: Services) {
    this.#options = options
    this.#discovery = { discovery, scanner, reflector }
  }

  /**
   * The application listens when the relay serves the database. At its end relay and consumers stop before HTTP; that needs
   * `app.enableShutdownHooks()`. A consumer that kafkajs gives up on ends the process with its error.
   *
   * @throws OutboxError at the start of the application: INVALID_OPTION for handlers; otherwise as `relay.start` and `inbox.run`.
   * @example
   * ```ts
   * OutboxModule.forRootAsync({
   *   inject: [PrismaService],
   *   useFactory: (prisma: PrismaService) => ({
   *     relay: createRelay({ databaseUrl, kafka: { brokers } }),
   *     inbox: { prisma, events, consumer: 'shop', kafka: new Kafka({ brokers }) },
   *   }),
   * })
   * ```
   */
  static forRootAsync<Client extends object, C extends Catalog>(options: OutboxModuleAsyncOptions<Client, C>): DynamicModule {
    const { imports = [], inject = [], useFactory } = options
    const health = ({ relay }: OutboxModuleOptions<Client, C>) => new OutboxHealthIndicator(relay)
    return {
      module: OutboxModule,
      global: true,
      imports: [...imports, DiscoveryModule],
      providers: [
        { provide: OPTIONS, inject, useFactory },
        { provide: OutboxHealthIndicator, inject: [OPTIONS], useFactory: health },
      ],
      exports: [OutboxHealthIndicator],
    }
  }

  /** @internal */
  async onApplicationBootstrap(): Promise<void> {
    const { relay, inbox } = this.#options
    try {
      if (inbox) this.#inboxes = inboxesOf(inbox, discoverHandlers(this.#discovery, inbox.consumer))
      await Promise.all([relay?.start(), ...this.#inboxes.map((one) => consume(one, inbox!))])
    } catch (error) {
      await this.beforeApplicationShutdown()
      throw error
    }
  }

  /** Before HTTP is closed, which clients with keep-alive can put off until the process is killed. @internal */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([this.#options.relay?.stop(), ...this.#inboxes.map((one) => one.stop())])
  }
}

// Decorators of the constructor, as calls: the package is compiled without their syntax.
for (const [index, token] of [OPTIONS, DiscoveryService, MetadataScanner, Reflector].entries())
  Inject(token)(OutboxModule, undefined, index)

/** An inbox for each consumer. Without a handler createInbox refuses. */
function inboxesOf(options: ConsumerOptions<object, Catalog>, found: Map<string, HandlersByEvent>): Inbox[] {
  const all = found.size > 0 ? [...found] : [[options.consumer, {}] as const]
  return all.map(([consumer, handlers]) => createInbox({ ...options, consumer, handlers: handlers as never }))
}

/** Runs an inbox; resolves when its tables are checked. */
function consume(inbox: Inbox, { kafka, watch, ...options }: ConsumerOptions<object, Catalog>): Promise<void> {
  watch?.(inbox)
  const started = new Promise<void>((resolve) => void inbox.on('consumer_started', () => resolve()))
  const running = inbox.run(kafka.consumer(inbox.consumerConfig()), options)
  // Nobody waits for this promise: an error after the start ends the process.
  void started.then(() => running)
  return Promise.race([started, running])
}
