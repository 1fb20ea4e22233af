// Package member owns who may be in a cluster: the cluster's key, certificates
// of membership and how they are checked, renewed, handed to newcomers and
// taken back.
//
// A cluster is an Ed25519 key, held by an Authority. The authority signs for a
// peer ID a Certificate with a role and an expiry. A peer carries its
// certificate as a non-critical X.509 extension inside libp2p's own TLS
// certificate, and every handshake checks it: on TCP in a security transport
// of our own (Protocol), on QUIC in a transport that wraps libp2p's. Whoever
// has none gets no connection: no protocol list, no identify. It sees what TLS
// shows to whoever dials, which is the peer's ID, role and cluster.
//
// Certificates are short. A Keeper renews its peer's at half life from any
// connected member that holds the cluster's key, and passes on the DenyList,
// which is signed and only ever replaced by a later one.
//
// A newcomer has an Invite: addresses, the cluster's public key and a one-time
// secret, in one string. It dials with a protocol of its own (JoinProtocol) and
// shows in the handshake that it has the secret; the answer is a certificate,
// after which the connection is closed. So a connection that leads further than
// that is always one between members.
//
// Peers that one user starts on one machine need none of it: they share the
// LoopbackAuthority, a key made on first use.
package member
