import { execFileSync } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { type LoggedProcess, startLogged } from './daemon.ts'
import type { DeployedObject } from './deployment.ts'
import { PLEXUS, ROOT } from './plexus.ts'
import { tempDir } from './temp-dir.ts'

/** A certificate folder as `plexus webhook cert` fills it, by way of the Secret. */
export interface WebhookCertificate {
  readonly folder: string
  /** Of its authority, PEM. */
  readonly ca: string
  /** The webhook configurations of deploy/, with the authority. */
  readonly configurations: readonly DeployedObject[]
}

/** A running webhook. */
export interface TestWebhook extends LoggedProcess {
  readonly port: number
  /** Asks it, trusting this authority. */
  ask(method: string, path: string, options: AskOptions): Promise<{ status: number; body: string }>
}

interface AskOptions {
  readonly ca: string
  readonly body?: string
  readonly type?: string
}

/** Makes a certificate for loopback; into a folder that is there it goes as a new one. */
export function webhookCertificate(folder = tempDir('certificate')): WebhookCertificate {
  const into = join(ROOT, 'deploy/webhook/configurations/webhooks.yaml')
  const args = ['webhook', 'cert', '--host', '127.0.0.1', '--into', into]
  const text = execFileSync(PLEXUS, args, { encoding: 'utf8', timeout: 30_000 })
  const [secret, ...configurations] = parseAllDocuments(text).map(
    (document) => document.toJS() as DeployedObject,
  )
  const read = (name: string): string => Buffer.from(secret?.data[name], 'base64').toString()
  for (const name of ['tls.crt', 'tls.key']) replaceFile(join(folder, name), read(name))
  return { folder, ca: read('ca.crt'), configurations }
}

/** Writes a file as a whole. */
function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** Starts `plexus webhook` on a free port of loopback. */
export async function startWebhook(folder: string, ...args: readonly string[]): Promise<TestWebhook> {
  const own = ['--listen', '127.0.0.1:0', '--certificate-dir', folder, ...args]
  const process = await startLogged([PLEXUS, 'webhook', ...own], 'webhook listens')
  const port = Number(process.log().find(({ msg }) => msg === 'webhook listens')?.port)
  return {
    ...process,
    port,
    ask: (method, path, { ca, body, type = 'application/json' }) =>
      new Promise((resolve, reject) => {
        const options = {
          method,
          ca,
          agent: false as const,
          timeout: 20_000,
          headers: { 'content-type': type },
        }
        const outgoing = request(`https://127.0.0.1:${port}${path}`, options, (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk
          })
          response.once('error', reject)
          response.once('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
        })
        outgoing.once('error', reject)
        outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer`)))
        outgoing.end(body)
      }),
  }
}
