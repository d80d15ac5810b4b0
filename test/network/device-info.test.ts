import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import {
  deviceInfoFileName,
  devicePluginFileName,
  isDeviceInfoPath,
  parseDeviceInfo,
} from '../../src/network/device-info.ts'
import { spec } from '../spec.ts'

function errorOf(text: string): CniError {
  try {
    parseDeviceInfo(text)
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error(`accepted: ${text}`)
}

spec('device-info', (it) => {
  const accepted: [string, object][] = [
    [
      'NPWG-129 pci with all its keys',
      {
        type: 'pci',
        version: '1.1.0',
        pci: {
          'pci-address': '0000:03:02.0',
          'vhost-net': '/dev/vhost-net',
          'rdma-device': 'mlx5_0',
          'pf-pci-address': '0000:03:00.0',
          'representor-device': 'eth3_0',
        },
      },
    ],
    [
      'NPWG-130 vdpa',
      {
        type: 'vdpa',
        version: '1.0.0',
        vdpa: { 'parent-device': 'vdpa1', driver: 'vhost', path: '/dev/vhost-vdpa-0' },
      },
    ],
    [
      'NPWG-131 vhost-user',
      { type: 'vhost-user', version: '1.1.0', 'vhost-user': { mode: 'client', path: '/s' } },
    ],
    [
      'NPWG-132, C-25 memif with either spelling of its mode',
      { type: 'memif', version: '1.1.0', memif: { role: 'master', path: '/s', mode: 'inject-punt' } },
    ],
    [
      'NPWG-128 unknown types and keys',
      { type: 'quantum', version: '9.0.0', quantum: { q: 1 }, 'org.x': [null] },
    ],
  ]
  for (const [title, info] of accepted) {
    it(`${title} comes back whole`, () => {
      assert.equal(parseDeviceInfo(JSON.stringify(info)), info)
    })
  }

  const refused: [string, string, RegExp][] = [
    ['NPWG-128 a missing type', '{"version":"1.1.0"}', /^device-info: type must be a text/],
    ['NPWG-128 a missing version', '{"type":"x"}', /version must be MAJOR.MINOR.PATCH/],
    ['NPWG-128 a missing object of the type', '{"type":"pci","version":"1.1.0"}', /pci must be an object/],
    [
      'NPWG-129 a PCI address that is none',
      '{"type":"pci","version":"1.1.0","pci":{"pci-address":"03:02"}}',
      /pci.pci-address must be like 0000:03:02.0, not "03:02"/,
    ],
    [
      'NPWG-130 a vdpa driver of another name',
      '{"type":"vdpa","version":"1.1.0","vdpa":{"parent-device":"a","driver":"x","path":"/p"}}',
      /vdpa.driver must be vhost or virtio, not "x"/,
    ],
    [
      'NPWG-131 a vhost-user mode of another name',
      '{"type":"vhost-user","version":"1.1.0","vhost-user":{"mode":"x","path":"/p"}}',
      /vhost-user.mode must be client or server/,
    ],
    [
      'NPWG-132 a memif without role',
      '{"type":"memif","version":"1.1.0","memif":{"path":"/p","mode":"ip"}}',
      /memif.role must be a text/,
    ],
    ['a list', '[]', /must be an object/],
  ]
  for (const [title, text, expected] of refused) {
    it(`refuses ${title}`, () => {
      const error = errorOf(text)
      assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
      assert.match(error.message, expected)
    })
  }

  it('NPWG-127 a file that is no JSON is the typed error', () => {
    assert.is(errorOf('garbage').code, CniErrorCode.Decoding)
    assert.is(errorOf('').code, CniErrorCode.Decoding)
  })

  it('NPWG-120 a device plugin file has slashes replaced in both parts', () => {
    assert.is(
      devicePluginFileName('intel.com/sriov', '0000:03:02.0'),
      'intel.com-sriov-0000:03:02.0-device.json',
    )
    assert.is(devicePluginFileName('a/b', 'c/d'), 'a-b-c-d-device.json')
  })

  it('NPWG-122 the file of an attachment is named after network, container and interface', () => {
    assert.is(deviceInfoFileName('telco/n6', 'abc', 'net1'), 'telco-n6-abc_net1')
    assert.is.not(
      deviceInfoFileName('telco/n6', 'abc', 'net1'),
      deviceInfoFileName('telco/n6', 'abc', 'net2'),
    )
  })

  it('the path of an attachment is told from others, so that a record can name no other file', () => {
    const id = 'c'.repeat(200)
    const isOurs = (path: string): boolean => isDeviceInfoPath(path, '/d', path.includes(id) ? id : 'abc')
    for (const network of ['telco/n6', 'a', `n${'n'.repeat(250)}`]) {
      assert.ok(isOurs(`/d/cni/${deviceInfoFileName(network, 'abc', 'net1')}`), network)
      assert.ok(isOurs(`/d/cni/${deviceInfoFileName(network, id, 'net1')}`), network)
    }
    for (const path of [
      '/d/cni/abd_net1',
      '/d/cni/xabc_net1',
      '/d/cni/n-abc',
      '/d/cni/n-abc_',
      '/d/cni/abc_/net1',
      '/d/cni/../abc_net1',
      '/d/cni/x/../abc_net1',
      '/d/cni/abc_a\0b',
      '/d/abc_net1',
      '/e/cni/abc_net1',
      'cni/abc_net1',
      '/d/cni/',
      '',
    ])
      assert.not(isOurs(path), path)
  })

  it('NPWG-122 a name too long for a file is cut to what makes it unique', () => {
    const containerId = 'c'.repeat(200)
    assert.is(deviceInfoFileName(`telco/${'n'.repeat(250)}`, containerId, 'net1'), `${containerId}_net1`)
  })
})
