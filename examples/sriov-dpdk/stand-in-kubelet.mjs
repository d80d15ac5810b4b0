// Plays the kubelet: answers on the socket that is the only argument which devices the pod has been allocated.
import { Server, ServerCredentials } from '@grpc/grpc-js'

/** A protobuf field of fewer than 128 bytes. */
const field = (number, ...content) => {
  const bytes = Buffer.concat(content.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
}

// message PodResources { name = 1; namespace = 2; containers = 3 { name = 1; devices = 2 { resource; ids } } }
const devices = field(2, field(1, 'intel.com/sriov_dpdk'), field(2, '0000:3b:02.1'))
const pod = field(1, field(1, 'upf-0'), field(2, 'default'), field(3, field(1, 'upf'), devices))

const bytes = (message) => message
const method = {
  requestStream: false,
  responseStream: false,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
}
const server = new Server()
server.addService(
  { Get: { ...method, path: '/v1.PodResourcesLister/Get' } },
  { Get: (_, answer) => answer(null, pod) },
)
server.bindAsync(`unix:${process.argv[2]}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error
})
