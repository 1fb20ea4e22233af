package link

// Queued is how many bytes wait to be sent to a peer in one class; 0 without a
// link.
func (m *Mesh) Queued(p string, c Class) int {
	l := m.find(p)
	if l == nil {
		return 0
	}
	return l.outs[c].waiting()
}
