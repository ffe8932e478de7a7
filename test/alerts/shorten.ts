/** 5 minutes become 10 s: ten scrapes. */
const factor = 30

const secondsOf: Record<string, number> = { s: 1, m: 60, h: 3_600 }

/** Thresholds in seconds that stand in the rules: ages of messages and of transactions. Looks at the tables come no sooner: theirs stays. */
const ages = /(outbox_(?:lag|oldest_transaction)_seconds\)) > (\d+)/g

/** The rules with every duration, and every age that they compare with, divided by thirty: an injected fault need not last hours. */
export function shorten(rules: string): string {
  const short = (number: string, unit: string) => `${Math.max(1, Math.round((Number(number) * secondsOf[unit]!) / factor))}`
  return rules
    .replace(/(\bfor: |\[)(\d+)([smh])\b/g, (_, before, number, unit) => `${before}${short(number, unit)}s`)
    .replace(ages, (_, before, number) => `${before} > ${short(number, 's')}`)
}
