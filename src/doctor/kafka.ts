import { counted } from '../ops/format.ts'
import { told } from '../ops/trouble.ts'
import { advertisedIn } from '../transport/advertised.ts'
import { type Login, remoteBrokers, tellsSecret } from '../transport/brokers.ts'
import { blamesCertificate } from '../transport/kafka-codes.ts'
import type { ClusterFacts, TopicFacts } from './questions/examine-cluster.ts'
import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

/** Judges whether others can read what goes to Kafka. */
export function judgeKafkaEncryption(kafka: Login): Verdict {
  const check = 'kafka encryption'
  const remote = remoteBrokers(kafka.brokers)
  if (kafka.ssl) return ok(check, 'Connections to brokers use TLS.')
  if (remote.length === 0) return ok(check, 'Every broker is named on this machine; TLS is off.')
  const fix = 'Set KAFKA_SSL=true, and name the TLS listeners of the brokers in KAFKA_BROKERS.'
  if (!tellsSecret(kafka))
    return warning(check, 'TLS to Kafka is off.', 'Everybody on the way can read and change messages.', fix)
  const what = 'The Kafka login is sent in clear text: its mechanism sends the secret, and TLS is off.'
  const why = 'Everybody on the way can read it, and write to your topics with it.'
  if (kafka.saslInsecure) return warning(check, what, why, fix)
  return failure(check, what, `${why} A relay refuses to start so.`, `${fix} Or use scram-sha-512.`)
}

/** Judges Kafka; `waiting`: topics of waiting messages, with the largest of each in bytes. Null: the table cannot be read. */
export function judgeKafka(
  cluster: ClusterFacts,
  waiting: readonly { topic: string; bytes: number }[] | null,
  servers: string,
): Verdict[] {
  const { trouble, brokers, topics } = cluster
  const advertised = trouble && advertisedIn(trouble.error)
  if (trouble && advertised !== undefined) {
    const why = 'Clients begin with KAFKA_BROKERS, and go on with the addresses that the brokers advertise. Messages wait.'
    const fix = `See whether the broker at ${advertised} runs, and set its advertised.listeners to an address that can be reached from here.`
    return [failure('kafka', `${trouble.error} (${trouble.code})`, why, fix)]
  }
  if (trouble) {
    const fix = fixOf(trouble.code)
    return [
      failure(
        'kafka',
        `No broker answers (${trouble.code}: ${trouble.error}).`,
        'Messages wait in the table until one does.',
        fix,
      ),
    ]
  }
  const bytes = new Map(waiting?.map((one) => [one.topic, one.bytes]))
  return [
    ok('kafka', `${counted(brokers, 'broker')} in the cluster.`),
    ...topics.flatMap((topic) => judgeTopic(topic, bytes.get(topic.topic) ?? 0, servers)),
  ]
}

function fixOf(code: string): string {
  if (blamesCertificate(code))
    return 'Give the authority that signed it, KAFKA_SSL_CA=ca.pem or NODE_EXTRA_CA_CERTS=ca.pem, and name the brokers in KAFKA_BROKERS as their certificates do.'
  if (code.startsWith('ERR_SSL_'))
    return 'If the brokers want a client certificate, set KAFKA_SSL_CERT and KAFKA_SSL_KEY to one that their authorities have signed.'
  if (code === 'TOKEN_UNAVAILABLE')
    return 'Run the command of KAFKA_SASL_TOKEN_COMMAND, or ask the endpoint, by inFlight on this machine.'
  return 'See whether the brokers run, and whether KAFKA_BROKERS, TLS and login are right.'
}

function judgeTopic(
  { topic, code, partitions, replicas, inSync, minInSync, maxBytes, mayWrite }: TopicFacts,
  bytes: number,
  servers: string,
): Verdict[] {
  const check = `topic ${topic}` as const
  if (code === 'UNKNOWN_TOPIC_OR_PARTITION') {
    const { remedy, command } = told({ topic, partition: null, code }, servers)
    return [failure(check, 'Messages wait for it, and it does not exist.', 'A relay never creates a topic.', command ?? remedy)]
  }
  if (code !== null) {
    return [failure(check, `Kafka refuses to tell about it (${code}).`, 'Its messages wait.', 'Grant Describe and Write on it.')]
  }
  const set = (config: string) => `kafka-configs.sh --bootstrap-server ${servers} --alter --topic ${topic} --add-config ${config}`
  const found: Verdict[] = []
  if (mayWrite !== true) found.push(judgeWrite(check, { topic, servers }, mayWrite))
  if (minInSync === null) {
    found.push(unseen(check, 'Its settings cannot be seen.', 'They decide what is acknowledged.', 'Grant DescribeConfigs on it.'))
  } else if (inSync < minInSync) {
    const fix = `Bring the missing brokers back, or: ${set(`min.insync.replicas=${Math.max(1, inSync)}`)}`
    found.push(failure(check, `${inSync} in sync, min.insync.replicas ${minInSync}.`, 'Kafka refuses every message.', fix))
  } else if (replicas < 2 || minInSync < 2) {
    const what = `${counted(replicas, 'replica')}, min.insync.replicas ${minInSync}.`
    const fix = replicas < 2 ? 'Use a replication factor of 3, and min.insync.replicas=2.' : set('min.insync.replicas=2')
    found.push(warning(check, what, 'An acknowledged message may live on one broker alone, and die with it.', fix))
  }
  // A record is somewhat larger than key, value and headers: the batch and the headers of the outbox come on top.
  if (maxBytes !== null && bytes > maxBytes) {
    const what = `A message of ${bytes} bytes waits, max.message.bytes is ${maxBytes}.`
    found.push(
      failure(check, what, 'It will be dead-lettered, with those of its key behind it.', set(`max.message.bytes=${bytes * 2}`)),
    )
  }
  return found.length > 0
    ? found
    : [ok(check, `${counted(partitions, 'partition')}, ${counted(replicas, 'replica')}, ${inSync} in sync.`)]
}

function judgeWrite(
  check: `topic ${string}`,
  { topic, servers }: { topic: string; servers: string },
  mayWrite: false | null,
): Verdict {
  const fix = `kafka-acls.sh --bootstrap-server ${servers} --add --allow-principal User:… --operation Describe --operation Write --topic ${topic}`
  const why = 'Without the right to write its messages wait: the relay pauses it (TOPIC_AUTHORIZATION_FAILED).'
  if (mayWrite === false) return failure(check, 'This login may not write to it.', why, fix)
  return unseen(check, 'The brokers do not say whether this login may write to it.', why, fix)
}
