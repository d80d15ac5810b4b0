import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { makeCertificate } from '../../src/webhook/self-made-certificate.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const HOSTS = ['plexus-webhook.kube-system.svc', 'localhost', '127.0.0.1', 'fd00::9']

spec('a self-made certificate', (it) => {
  it('is of its authority, for its hosts, with its key', () => {
    const made = makeCertificate(HOSTS, 90)
    const [ca, cert] = [new X509Certificate(made.ca), new X509Certificate(made.cert)]
    assert.is(cert.verify(ca.publicKey), true)
    assert.is(ca.verify(ca.publicKey), true)
    assert.is(cert.checkIssued(ca), true)
    assert.equal([ca.ca, cert.ca], [true, false])
    assert.is(cert.checkPrivateKey(createPrivateKey(made.key)), true)
    for (const host of HOSTS.slice(0, 2)) assert.is(cert.checkHost(host), host)
    for (const host of HOSTS.slice(2)) assert.is(cert.checkIP(host), host)
    assert.is(cert.checkHost('other.kube-system.svc'), undefined)
    assert.equal(cert.keyUsage, ['1.3.6.1.5.5.7.3.1'])
    assert.not.equal(makeCertificate(HOSTS, 90).cert, made.cert)
  })

  for (const days of [1, 365, 36_500]) {
    it(`is good for ${days} days`, () => {
      const now = new Date('2026-03-01T12:00:00Z')
      const { cert } = makeCertificate(HOSTS, days, now)
      const { validFrom, validTo } = new X509Certificate(cert)
      assert.equal(new Date(validFrom), new Date('2026-03-01T11:00:00Z'))
      assert.equal(new Date(validTo), new Date(now.getTime() + days * 86_400_000))
    })
  }

  it('is taken by openssl(1) as strictly as it can', () => {
    const dir = tempDir('certificate')
    // Serial numbers and signatures are numbers that begin with any bit.
    for (let round = 0; round < 20; round++) {
      const { ca, cert } = makeCertificate(HOSTS, 90)
      writeFileSync(join(dir, 'ca.pem'), ca)
      writeFileSync(join(dir, 'cert.pem'), cert)
      const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'ca.pem', 'cert.pem']
      const said = execFileSync('openssl', args, { cwd: dir, encoding: 'utf8', timeout: 30_000 })
      assert.is(said, 'cert.pem: OK\n')
    }
  })
})
