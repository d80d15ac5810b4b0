import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parseAllDocuments } from 'yaml'
import { printCertificate } from '../../src/cli/webhook-certificate.ts'
import { PLEXUS, ROOT } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const DEFAULTS = { namespace: 'kube-system', service: 'plexus-webhook', hosts: [], days: 365, into: [] }
const CONFIGURATIONS = join(ROOT, 'deploy/webhook/configurations/webhooks.yaml')

// biome-ignore lint/suspicious/noExplicitAny: any kind of object, looked at by tests.
function printed(options: Partial<Parameters<typeof printCertificate>[0]> = {}): any[] {
  let text = ''
  printCertificate({
    ...DEFAULTS,
    ...options,
    write: (more) => {
      text += more
    },
  })
  return parseAllDocuments(text).map((document) => document.toJS())
}

/** Runs the command; it ends by itself, since it cannot begin. */
function fails(...args: readonly string[]): string {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
  const run = spawnSync(PLEXUS, ['webhook', ...args], { env, encoding: 'utf8', timeout: 20_000 })
  return `${run.status} ${run.stderr}`
}

const decoded = (text: string): string => Buffer.from(text, 'base64').toString()

spec('plexus webhook', (it) => {
  const folder = tempDir('webhook')
  const wrong: readonly (readonly [args: readonly string[], reason: RegExp])[] = [
    [[], /^2 .*no cluster to follow/],
    [['--kubeconfig', 'k', '--listen', 'here'], /^2 .*"here" is no address to listen on/],
    [['--kubeconfig', 'k', '--listen', 'h:99999'], /^2 .*"h:99999" is no address/],
    [['--kubeconfig', 'k', '--certificate-dir', folder], /^1 .*tls.crt cannot be read/],
    [['--kubeconfig', 'k', '--config', `${folder}/none`], /^1 .*daemon configuration .* cannot be read/],
    [['cert', '--listen', ':1'], /^2 .*no command, option or argument listen here/],
    [['crt'], /^2 .*did you mean cert\?/],
  ]
  for (const [args, reason] of wrong)
    it(`says what is wrong: ${args.join(' ')}`, () => assert.match(fails(...args), reason))
})

spec('plexus webhook cert', (it) => {
  it('prints a Secret of type TLS with the certificate of the service, its key and its authority', () => {
    const [secret, ...more] = printed({ hosts: ['10.0.0.7'] })
    assert.equal(more, [])
    assert.equal(
      [secret.kind, secret.type, secret.metadata.namespace, secret.metadata.name],
      ['Secret', 'kubernetes.io/tls', 'kube-system', 'plexus-webhook'],
    )
    const cert = new X509Certificate(decoded(secret.data['tls.crt']))
    assert.is(cert.checkHost('plexus-webhook.kube-system.svc'), 'plexus-webhook.kube-system.svc')
    assert.is(cert.checkIP('10.0.0.7'), '10.0.0.7')
    assert.ok(cert.verify(new X509Certificate(decoded(secret.data['ca.crt'])).publicKey))
    assert.match(decoded(secret.data['tls.key']), 'PRIVATE KEY')
  })

  it('sets the authority in the webhooks of manifests, and leaves all else as it is', () => {
    const [secret, ...configurations] = printed({ into: [CONFIGURATIONS] })
    assert.equal(
      configurations.map(({ kind }) => kind),
      ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration'],
    )
    for (const { webhooks, metadata } of configurations) {
      assert.is(metadata.name, 'plexus')
      for (const { clientConfig, sideEffects } of webhooks) {
        assert.is(clientConfig.caBundle, secret.data['ca.crt'])
        assert.is(clientConfig.service.name, 'plexus-webhook')
        assert.is(sideEffects, 'None')
      }
    }
    const file = join(tempDir('manifest'), 'other.yaml')
    writeFileSync(file, 'kind: ConfigMap\ndata: {a: b}\n')
    assert.equal(printed({ into: [file] })[1], { kind: 'ConfigMap', data: { a: 'b' } })
  })

  const wrong: readonly (readonly [Parameters<typeof printed>[0], RegExp])[] = [
    [{ namespace: 'Kube' }, /"Kube\/plexus-webhook" is no service/],
    [{ service: 'a/b' }, /is no service/],
    [{ hosts: ['a b'] }, /"a b" is no name of a host/],
    [{ days: 0 }, /1 to 36500 days, not 0/],
    [{ days: Number.NaN }, /not NaN/],
    [{ into: ['/no/such/file'] }, /\/no\/such\/file cannot be read/],
  ]
  for (const [options, reason] of wrong) {
    it(`is refused: ${JSON.stringify(options)}`, () => assert.throws(() => printed(options), reason))
  }
})
