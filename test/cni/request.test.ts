import * as assert from 'uvu/assert'
import { toErrorObject } from '../../src/cni/cni-error.ts'
import { parseRequest, parseVersionRequest } from '../../src/cni/request.ts'
import { CNI_VERSIONS } from '../../src/cni/version.ts'
import { spec } from '../spec.ts'
import { thrownBy } from './thrown.ts'

const ENV = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=upf-0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
}
const CONF = '{"cniVersion":"1.1.0","name":"mesh","type":"plexus"}'

/** Which variables each verb cannot do without; CNI-002. */
const REQUIRED: Record<string, string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
}

const confWith = (keys: object): string =>
  JSON.stringify({ cniVersion: '1.1.0', name: 'mesh', type: 'plexus', ...keys })

spec('request: environment', (it) => {
  it('CNI-001 a whole request is read', () => {
    const request = parseRequest({ ...ENV, HOME: '/root', GONE: undefined }, CONF)
    assert.equal(request, {
      command: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/c1',
      ifName: 'eth0',
      args: [
        ['IgnoreUnknown', '1'],
        ['K8S_POD_NAME', 'upf-0'],
      ],
      argsText: ENV.CNI_ARGS,
      path: ['/opt/cni/bin', '/usr/lib/cni'],
      env: { ...ENV, HOME: '/root' },
      stdin: JSON.parse(CONF),
      cniVersion: '1.1.0',
      name: 'mesh',
    })
  })

  for (const [command, required] of Object.entries(REQUIRED)) {
    for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH', 'CNI_ARGS']) {
      const isRequired = required.includes(name)
      it(`CNI-002 ${command} ${isRequired ? 'needs' : 'does without'} ${name}, whether unset or empty`, () => {
        for (const value of [undefined, '']) {
          const call = () => parseRequest({ ...ENV, CNI_COMMAND: command, [name]: value }, CONF)
          if (!isRequired) {
            assert.is(call().command, command)
            continue
          }
          const error = thrownBy(call)
          assert.is(error.code, 4)
          assert.is(error.message, `required env variables [${name}] missing`)
        }
      })
    }
  }

  it('CNI-003 all missing variables are named in one error', () => {
    assert.is(
      thrownBy(() => parseRequest({ CNI_COMMAND: 'ADD' }, CONF)).message,
      'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing',
    )
  })

  it('CNI-003 missing and malformed variables come in one error', () => {
    const error = thrownBy(() =>
      parseRequest({ ...ENV, CNI_NETNS: '', CNI_CONTAINERID: 'a/b', CNI_IFNAME: 'x y', CNI_ARGS: 'A' }, CONF),
    )
    assert.match(
      error.message,
      /^required env variables \[CNI_NETNS\] missing; invalid characters in CNI_CONTAINERID/,
    )
    assert.match(error.message, 'CNI_IFNAME "x y"')
    assert.match(error.message, 'CNI_ARGS: invalid pair "A"')
  })

  it('CNI-010 a missing CNI_COMMAND is code 4', () => {
    const error = thrownBy(() => parseRequest({}, CONF))
    assert.is(error.code, 4)
    assert.match(error.message, '[CNI_COMMAND]')
  })

  const hasBinDir = (conf: object): boolean => 'binDir' in conf
  it('CNI-004 CNI_PATH may be missing when the net-conf has binDir', () => {
    assert.equal(
      parseRequest({ ...ENV, CNI_PATH: '' }, confWith({ binDir: '/opt/x' }), { hasBinDir }).path,
      [],
    )
  })
  it('CNI-004 CNI_PATH is needed when the net-conf has no binDir', () => {
    assert.match(
      thrownBy(() => parseRequest({ ...ENV, CNI_PATH: '' }, CONF, { hasBinDir })).message,
      '[CNI_PATH] missing',
    )
  })
  it('CNI-013 empty elements of CNI_PATH are dropped', () => {
    assert.equal(parseRequest({ ...ENV, CNI_PATH: '::/opt/x:' }, CONF).path, ['/opt/x'])
  })
  it('CNI-013 a CNI_PATH of empty elements alone is missing', () => {
    assert.match(thrownBy(() => parseRequest({ ...ENV, CNI_PATH: '::' }, CONF)).message, '[CNI_PATH] missing')
  })

  for (const id of ['a', '0', 'a_b.c-d', 'x'.repeat(200)]) {
    it(`CNI-005 ${id.slice(0, 20)} is a container ID`, () => {
      assert.is(parseRequest({ ...ENV, CNI_CONTAINERID: id }, CONF).containerId, id)
    })
  }
  for (const id of ['-a', '.a', 'a/b', 'a b', 'a\n', '../x', 'é']) {
    it(`CNI-005 ${JSON.stringify(id)} is no container ID, and it is told in details`, () => {
      for (const command of ['ADD', 'CHECK', 'DEL']) {
        const error = thrownBy(() =>
          parseRequest({ ...ENV, CNI_COMMAND: command, CNI_CONTAINERID: id }, CONF),
        )
        assert.is(error.code, 4)
        assert.match(error.message, 'invalid characters in CNI_CONTAINERID')
        assert.match(toErrorObject(error).details ?? '', JSON.stringify(id))
      }
    })
  }
  it('a container ID over 200 bytes is refused', () => {
    const error = thrownBy(() => parseRequest({ ...ENV, CNI_CONTAINERID: 'x'.repeat(201) }, CONF))
    assert.is(error.code, 4)
    assert.match(error.message, '201 bytes')
  })

  for (const name of ['x'.repeat(16), 'é'.repeat(8), 'a\u00a0b', '..', 'a:b']) {
    it(`CNI-006 ${JSON.stringify(name)} is no interface name`, () => {
      const error = thrownBy(() => parseRequest({ ...ENV, CNI_IFNAME: name }, CONF))
      assert.is(error.code, 4)
      assert.match(error.message, 'CNI_IFNAME')
    })
  }

  for (const command of ['GC', 'STATUS']) {
    it(`CNI-007 ${command} does not care for the variables of an attachment`, () => {
      const env = { ...ENV, CNI_COMMAND: command, CNI_IFNAME: 'a/b', CNI_CONTAINERID: '-', CNI_ARGS: 'junk' }
      assert.is(parseRequest(env, CONF).command, command)
    })
  }
  it('CNI-011 DEL without CNI_NETNS is a request', () => {
    assert.is(parseRequest({ ...ENV, CNI_COMMAND: 'DEL', CNI_NETNS: '' }, CONF).netns, '')
  })
  it('CNI-014 CNI_VERSION is ignored', () => {
    assert.is(parseRequest({ ...ENV, CNI_VERSION: 'junk' }, CONF).cniVersion, '1.1.0')
  })
  it('CNI-018 CNI_ARGS that a strict parser refuses are read', () => {
    assert.equal(parseRequest({ ...ENV, CNI_ARGS: 'A=1=2;' }, CONF).args, [['A', '1=2']])
  })
})

const badStdin: [title: string, stdin: string, code: number][] = [
  ['CNI-022 empty stdin', '', 6],
  ['CNI-022 white space alone', ' \n', 6],
  ['CNI-022 no JSON', '{"name":', 6],
  ['CNI-022 a list', '[]', 6],
  ['CNI-022 a text', '"x"', 6],
  ['CNI-022 a number that is kept as text', '1.0', 6],
  ['CNI-022 null, which is an object without a name', 'null', 7],
  ['CNI-008 no name', '{"cniVersion":"1.1.0"}', 7],
  ['CNI-008 an empty name', confWith({ name: '' }), 7],
  ['CNI-008 a name with a slash', confWith({ name: 'a/b' }), 7],
  ['CNI-008 a name that ends in a newline', confWith({ name: 'a\n' }), 7],
  ['CNI-008 a name that is no text', confWith({ name: 1 }), 7],
  ['CNI-023 a cniVersion that is no text', confWith({ cniVersion: 1 }), 6],
  ['CNI-033 a version that does not exist', confWith({ cniVersion: '9.9.9' }), 1],
  ['CNI-033 a shortened version', confWith({ cniVersion: '1.0' }), 1],
]

spec('request: net-conf and version', (it) => {
  for (const [title, stdin, code] of badStdin) {
    it(`${title} is code ${code}`, () => {
      for (const command of Object.keys(REQUIRED)) {
        assert.is(thrownBy(() => parseRequest({ ...ENV, CNI_COMMAND: command }, stdin)).code, code)
      }
    })
  }

  it('CNI-009 the environment comes before the net-conf', () => {
    assert.is(thrownBy(() => parseRequest({ ...ENV, CNI_IFNAME: '' }, 'junk')).code, 4)
  })
  it('CNI-009 the net-conf comes before an unknown verb', () => {
    assert.is(thrownBy(() => parseRequest({ ...ENV, CNI_COMMAND: 'add' }, 'junk')).code, 6)
  })
  for (const command of ['add', 'UPDATE', 'constructor', 'VERSION']) {
    it(`CNI-009 ${command} is not among the verbs that take a request`, () => {
      const error = thrownBy(() =>
        parseRequest({ ...ENV, CNI_COMMAND: command }, confWith({ cniVersion: '9.9.9' })),
      )
      assert.is(error.code, 4)
      assert.is(error.message, `unknown CNI_COMMAND: ${command}`)
    })
  }

  for (const cniVersion of [undefined, null, '']) {
    it(`CNI-023 cniVersion ${JSON.stringify(cniVersion)} means 0.1.0`, () => {
      assert.is(parseRequest(ENV, confWith({ cniVersion })).cniVersion, '0.1.0')
    })
  }
  it('CNI-033 an unknown version is refused with both sides in details', () => {
    const object = toErrorObject(thrownBy(() => parseRequest(ENV, confWith({ cniVersion: '9.9.9' }))))
    assert.match(object.msg, 'network "mesh": cniVersion "9.9.9"')
    assert.match(object.details ?? '', 'config is "9.9.9"')
    for (const version of CNI_VERSIONS) assert.match(object.details ?? '', `"${version}"`)
  })

  const since: Record<string, string> = {
    ADD: '0.1.0',
    DEL: '0.1.0',
    CHECK: '0.4.0',
    GC: '1.1.0',
    STATUS: '1.1.0',
  }
  for (const [command, least] of Object.entries(since)) {
    it(`CNI-035 ${command} works from ${least} on and is code 1 below`, () => {
      for (const cniVersion of CNI_VERSIONS) {
        const call = () => parseRequest({ ...ENV, CNI_COMMAND: command }, confWith({ cniVersion }))
        if (cniVersion >= least) assert.is(call().cniVersion, cniVersion)
        else assert.is(thrownBy(call).code, 1)
      }
    })
  }
  it('CNI-071 the net-conf is kept to the digit', () => {
    const text = '{"name":"mesh","cniVersion":"1.0.0","big":9007199254740993}'
    assert.is(JSON.stringify(parseRequest(ENV, text).stdin), text)
  })
})

spec('VERSION', (it) => {
  for (const stdin of ['', '{}', 'junk', '[]', 'null', '{"cniVersion":"9.9.9"}', '{"cniVersion":1}']) {
    it(`CNI-032 ${JSON.stringify(stdin)} is answered with the highest version`, () => {
      assert.equal(parseVersionRequest(stdin), { cniVersion: '1.1.0', supportedVersions: [...CNI_VERSIONS] })
    })
  }
  it('CNI-032 a version that we know is echoed', () => {
    assert.is(parseVersionRequest('{"cniVersion":"0.4.0"}').cniVersion, '0.4.0')
  })
})
