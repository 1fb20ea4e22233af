package swarm

// maxAsked bounds the blocks of one request.
const maxAsked = 256
