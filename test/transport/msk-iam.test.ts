import { createHash, createHmac } from 'node:crypto'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { openTransport, transportNames } from '../../src/embed.ts'
import { accessOf } from '../../src/transport/access.ts'
import { checkSigner } from '../../src/transport/msk-iam.ts'

/** Made up, as are all names below: nothing is asked of AWS. */
const [keyId, secret] = ['AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/S3cretCanary']

beforeAll(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', keyId)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', secret)
  return () => vi.unstubAllEnvs()
})

/** What an AWS signature of version 4 has to be for this URL. */
function signatureOf(url: URL, region: string): string {
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const time = url.searchParams.get('X-Amz-Date')!
  const scope = [time.slice(0, 8), region, 'kafka-cluster', 'aws4_request']
  const names = [...url.searchParams.keys()].filter((name) => name !== 'X-Amz-Signature' && name !== 'User-Agent').sort()
  const query = names.map((name) => `${name}=${encodeURIComponent(url.searchParams.get(name)!)}`).join('&')
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  const request = ['GET', '/', query, `host:${url.host}`, '', 'host', hash('')].join('\n')
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${secret}`)
  return hmac(key, ['AWS4-HMAC-SHA256', time, scope.join('/'), hash(request)].join('\n')).toString('hex')
}

const login = (region: string) => ({ mechanism: 'aws-msk-iam', region }) as const
const tokens = (region: string) =>
  (accessOf({ sasl: login(region) }).sasl as unknown as { oauthBearerProvider: () => Promise<{ value: string }> })
    .oauthBearerProvider

describe('the login aws-msk-iam', () => {
  test.each(['eu-central-1', 'us-gov-west-1'])('is a token signed for the brokers of %s', async (region) => {
    const { value } = await tokens(region)()
    const url = new URL(Buffer.from(value, 'base64url').toString())
    expect(url.host).toBe(`kafka.${region}.amazonaws.com`)
    expect(url.searchParams.get('Action')).toBe('kafka-cluster:Connect')
    expect(url.searchParams.get('X-Amz-Credential')).toMatch(new RegExp(`^${keyId}/\\d{8}/${region}/kafka-cluster/aws4_request$`))
    expect(url.searchParams.get('X-Amz-Signature')).toBe(signatureOf(url, region))
    expect(url.href).not.toContain('S3cret')
  })

  test('signs one token for all who ask at once, and for those who ask later', async () => {
    const provide = tokens('eu-central-1')
    const [a, b] = await Promise.all([provide(), provide()])
    expect([b, await provide()]).toEqual([a, a])
  })

  test('without credentials says so by the name of the error alone', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', '')
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/not/there')
    vi.stubEnv('AWS_CONFIG_FILE', '/not/there')
    await expect(tokens('eu-central-1')()).rejects.toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
      message: expect.stringMatching(/^The provider of Kafka tokens failed \(\w+Error\)\.$/),
    })
  })

  test.each(transportNames)('is taken by %s, and never sent without TLS', (way) => {
    expect(() => openTransport(way, { brokers: ['kafka.invalid:9098'], ssl: true, sasl: login('eu-central-1') })).not.toThrow()
    expect(() => openTransport(way, { brokers: ['kafka.invalid:9098'], sasl: login('eu-central-1') })).toThrow(/clear text/)
  })

  test.each([[''], [undefined], ['eu central'], ['x.invalid/']])('is refused with the region %o', (region) => {
    const sasl = login(region as string)
    expect(() => openTransport('kafkajs', { brokers: ['localhost:1'], sasl })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'sasl' }),
    )
  })

  test('names the package that it needs and that is missing', () => {
    const missing = () => {
      throw new Error('Cannot find module')
    }
    expect(() => checkSigner(missing)).toThrow(
      expect.objectContaining({ code: 'OUTBOX_TRANSPORT_PACKAGE', remedy: 'Run "npm install aws-msk-iam-sasl-signer-js".' }),
    )
  })
})
