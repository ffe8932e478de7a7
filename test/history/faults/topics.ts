import kafkajs, { type Admin } from 'kafkajs'
import { sweepMs } from '../../../src/relay/fetch/reader.ts'
import type { Fault } from '../fault.ts'

// Not among the names that Node finds in this CommonJS module.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

/** A topic that grows stops at so many partitions. */
const mostPartitions = 12

/** Faults of topics. */
export const topicFaults: readonly Fault[] = [
  {
    name: 'topic-recreated',
    what: 'a topic is deleted, stays away for a while and is created again',
    lastsMs: [500, 6_000],
    async begin({ admin, topics, kafka, note }) {
      const before = await partitionsOf(admin, topics.doomed)
      // Another fault may have deleted it already.
      await admin.deleteTopics({ topics: [topics.doomed], timeout: 10_000 }).catch((error) => note(`topic-recreated: ${error}`))
      return () => createAgain(admin, topics.doomed, before || 3, kafka.brokers.length)
    },
  },
  {
    name: 'topic-grows',
    what: 'a topic gets one partition more',
    lastsMs: [0, 0],
    async begin({ admin, topics, note }) {
      const count = (await partitionsOf(admin, topics.growing)) + 1
      if (count > mostPartitions) note('topic-grows: it has grown enough')
      else
        await admin
          .createPartitions({ topicPartitions: [{ topic: topics.growing, count }] })
          .catch((error) => note(`topic-grows: ${error}`))
      return async () => {}
    },
  },
  {
    name: 'topic-acl',
    what: 'the relays lose the right to write to a topic, and get it back',
    lastsMs: [1_000, 8_000],
    async begin({ admin, topics, random, note }) {
      const topic = topics.steady[Math.floor(random() * topics.steady.length)]!
      const about = {
        resourceType: AclResourceTypes.TOPIC,
        resourceName: topic,
        resourcePatternType: ResourcePatternTypes.LITERAL,
      }
      const who = { principal: 'User:ANONYMOUS', host: '*' }
      // Without the first, nobody but super users could do anything with a topic that has an ACL.
      await admin
        .createAcls({
          acl: [
            { ...about, ...who, operation: AclOperationTypes.ALL, permissionType: AclPermissionTypes.ALLOW },
            { ...about, ...who, operation: AclOperationTypes.WRITE, permissionType: AclPermissionTypes.DENY },
          ],
        })
        .catch((error) => note(`topic-acl: ${error}`))
      return async () => {
        const all = { operation: AclOperationTypes.ANY, permissionType: AclPermissionTypes.ANY }
        // A failure is the caller's, who tries again: noted and forgotten, the topic would stay forbidden forever.
        await admin.deleteAcls({ filters: [{ ...about, ...all }] }).catch((error) => {
          // The single broker of --brokers 1 has no ACLs: none was made.
          if (error.type !== 'SECURITY_DISABLED') throw error
        })
      }
    },
  },
]

/** Milliseconds in which every relay has asked for the number of partitions again, between two and seven sweeps of a bucket; and some more. */
const noticedMs = (7 * sweepMs) / 64 + 5_000

/** For the broken relays that never use the new partitions. */
export const growsInTime: Fault = {
  name: 'topic-grows-in-time',
  what: 'a topic gets one partition more, and nothing else happens until every relay has to use it',
  lastsMs: [noticedMs + 20_000, noticedMs + 20_000],
  async begin({ admin, topics, expectGrown }) {
    const count = (await partitionsOf(admin, topics.growing)) + 1
    await admin.createPartitions({ topicPartitions: [{ topic: topics.growing, count }] })
    expectGrown(noticedMs)
    return async () => {}
  },
}

/** 0 while the topic does not exist. */
async function partitionsOf(admin: Admin, topic: string): Promise<number> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    return topics[0]!.partitions.length
  } catch {
    return 0
  }
}

/** A deletion takes its time: until it is over the name is taken, and a creation is answered as if the topic were there. */
async function createAgain(admin: Admin, topic: string, numPartitions: number, replicationFactor: number): Promise<void> {
  while ((await partitionsOf(admin, topic)) === 0) {
    await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor }], waitForLeaders: false }).catch(() => {})
  }
}
