import { createRequire } from 'node:module'
import { OutboxError } from '../message/errors.ts'
import type { TimedToken } from './token.ts'

/** Login of AWS MSK by IAM: a token that Amazon's signer makes of the credentials that the AWS SDK finds. */
export interface MskIamLogin {
  mechanism: 'aws-msk-iam'
  /** Region of the cluster: `eu-central-1`. */
  region: string
}

/** Amazon's signer, an optional peer dependency. */
const name = 'aws-msk-iam-sasl-signer-js'

/** Throws OUTBOX_TRANSPORT_PACKAGE if the signer is not installed. Loads nothing of it. */
export function checkSigner(resolve: (name: string) => string = createRequire(import.meta.url).resolve): void {
  try {
    resolve(name)
  } catch (cause) {
    const what = `The login aws-msk-iam needs the package ${name}, which is not installed.`
    throw new OutboxError('TRANSPORT_PACKAGE', what, { field: 'sasl', remedy: `Run "npm install ${name}".`, cause })
  }
}

/** Signs a token for the region. Loads the signer when it is called. */
export async function signedToken(region: string): Promise<TimedToken> {
  const { generateAuthToken } = await import('aws-msk-iam-sasl-signer-js')
  const { token, expiryTime } = await generateAuthToken({ region })
  return { value: token, expiresAtMs: expiryTime }
}
