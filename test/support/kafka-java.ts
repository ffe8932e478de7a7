import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Where the loaded classes of a broker that was started once lie, beside the jars. */
export const classesFile = (jars: string): string => join(jars, 'classes.jsa')

/**
 * Arguments of `java` for a program of Apache Kafka. With the classes of a broker at hand (class data sharing) it starts with half of the
 * CPU; a test run starts some sixty.
 */
export function kafkaJava(jars: string): string[] {
  const classes = classesFile(jars)
  // Of another Java they are passed over, which it would say on the standard output of the program.
  const shared = existsSync(classes) ? [`-XX:SharedArchiveFile=${classes}`, '-Xlog:disable'] : []
  return ['-XX:TieredStopAtLevel=1', ...shared, '-cp', `${jars}/*`]
}
