import * as assert from 'uvu/assert'
import { parseJson } from '../../src/cni/json.ts'
import { REDACTED, redact, redactArgs, redactMessage } from '../../src/cni/redact.ts'
import { spec } from '../spec.ts'

spec('redact', (it) => {
  for (const key of [
    ...['token', 'k8sAuthToken', 'k8s_auth_token', 'TOKEN', 'password', 'dbPasswd', 'secret', 'clientSecret'],
    ...['key', 'apiKey', 'api-key', 'etcd_key', 'privateKey', 'psk', 'credentials', 'authorization'],
    ...['certificate-authority-data', 'client-certificate-data', 'caData', 'APIToken', 'passphrase'],
  ]) {
    it(`the value of "${key}" is not shown, whatever it is`, () => {
      for (const value of ['abc123', 42, ['a', 'b'], { inner: 'x' }]) {
        assert.equal(redact({ type: 'x', [key]: value }), { type: 'x', [key]: REDACTED })
      }
    })
  }

  const shown = {
    type: 'bridge',
    bridge: 'keybr0',
    keepalive: 5,
    master: 'eth0',
    capabilities: { mac: true },
    keyExchange: true,
    token: '',
    secret: null,
    etcd_key_file: '/etc/etcd/key.pem',
    kubernetes: { kubeconfig: '/etc/cni/net.d/calico-kubeconfig' },
    authority: 'x',
    monkey: 'y',
    args: { cni: { ips: ['10.0.0.1/24'] } },
  }
  it('what is no secret stays: plain keys, paths of files, booleans, empty values', () => {
    assert.equal(redact(shown), shown)
  })

  it('a path under a key that is for no file is taken for a secret', () => {
    assert.equal(redact({ password: '/etc/x' }), { password: REDACTED })
  })

  it('contents of a kubeconfig are not shown', () => {
    const text = 'apiVersion: v1\nkind: Config\nusers: []\n'
    assert.equal(redact({ kubeconfig: text }), { kubeconfig: REDACTED })
    assert.equal(redact({ kubeconfig: { users: [] } }), { kubeconfig: REDACTED })
  })

  it('a PEM block, a JSON web token and a bearer text are recognised under any key', () => {
    const pem = '-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----'
    const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3.c2lnbmF0dXJl'
    const conf = { one: pem, two: [jwt], three: { header: 'Bearer abcdefgh123' } }
    assert.equal(redact(conf), { one: REDACTED, two: [REDACTED], three: { header: REDACTED } })
  })

  it('a password in a URL goes, the URL stays', () => {
    assert.equal(redact({ endpoints: ['https://admin:hunter2@etcd:2379/v3'] }), {
      endpoints: [`https://admin:${REDACTED}@etcd:2379/v3`],
    })
  })

  it('numbers keep their digits and the input is left as it is', () => {
    const conf = parseJson('{"vni": 12345678901234567890, "token": "abc"}', 'conf')
    const before = JSON.stringify(conf)
    assert.is(JSON.stringify(redact(conf)), `{"vni":12345678901234567890,"token":"${REDACTED}"}`)
    assert.is(JSON.stringify(conf), before)
  })

  it('CNI_ARGS lose the values of secret keys only', () => {
    assert.is(
      redactArgs('IgnoreUnknown=1;K8S_POD_NAME=token-server;APP_TOKEN=abc=d;MAC=02:00:00:00:00:01'),
      `IgnoreUnknown=1;K8S_POD_NAME=token-server;APP_TOKEN=${REDACTED};MAC=02:00:00:00:00:01`,
    )
    assert.is(redactArgs(''), '')
  })
})

spec('redactMessage', (it) => {
  const hidden: readonly (readonly [string, string])[] = [
    ['login with token=hunter2 failed', `login with token=${REDACTED} failed`],
    ['conf {"type":"x","password":"hunter2","mtu":9}', `conf {"type":"x","password":${REDACTED},"mtu":9}`],
    ['{"password": "hun\\"ter2", "mtu": 9}', `{"password": ${REDACTED}, "mtu": 9}`],
    ['"{\\"apiKey\\":\\"hunter2\\",\\"a\\":1}"', `"{\\"apiKey\\":${REDACTED},\\"a\\":1}"`],
    ['{"args":"{\\"secret\\":\\"hunter2\\"}"}', `{"args":"{\\"secret\\":${REDACTED}}"}`],
    ['{"tokens":["hunter2","hunter2"]}', `{"tokens":${REDACTED}}`],
    ['{"token":"hunter2 cut off in the mid', `{"token":${REDACTED}`],
    ['etcd password: hunter2', `etcd password: ${REDACTED}`],
    ['GET https://admin:hunter2@etcd:2379/v3', `GET https://admin:${REDACTED}@etcd:2379/v3`],
    ['Authorization: Bearer hunter2hunter2', `Authorization: Bearer ${REDACTED}`],
    ['read -----BEGIN KEY-----\nhunter2', `read ${REDACTED}`],
  ]
  for (const [text, expected] of hidden) {
    it(`hides ${JSON.stringify(text)}`, () => assert.is(redactMessage(text), expected))
  }

  for (const text of [
    'network "n6" (NAD telco/n6): plugin "bridge" failed (add): no such device',
    'cannot read key: open /etc/x: no such file',
    'net-conf: unknown key "tokne"; did you mean "token"?',
    'key_file=/etc/etcd/key.pem is missing, keepalive=5',
  ]) {
    it(`leaves ${JSON.stringify(text)} as it is`, () => assert.is(redactMessage(text), text))
  }

  it('takes bounded time for hostile texts', () => {
    const texts = ['\\', 'token=', 'a', '"', 'token:"', '://a:', '{'].map((part) =>
      part.repeat(4096).slice(0, 8192),
    )
    const start = performance.now()
    for (const text of texts) redactMessage(text)
    assert.ok(performance.now() - start < 2000)
  })
})
