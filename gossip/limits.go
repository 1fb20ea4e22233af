package gossip

import "fmt"

// checkMessage compares a message with the limits and says which one it breaks.
func checkMessage(m Message) error {
	switch m := m.(type) {
	case *PingReq:
		return checkName(m.Peer)
	case *Vouch:
		return checkName(m.Peer)
	case *Digest:
		return m.check()
	case *Want:
		if err := atMost("peers", len(m.Peers), MaxWanted); err != nil {
			return err
		}
		for _, p := range m.Peers {
			if err := checkName(p); err != nil {
				return err
			}
		}
	case *Bundle:
		if err := atMost("adverts", len(m.Adverts), MaxWanted); err != nil {
			return err
		}
		for _, raw := range m.Adverts {
			if err := atMost("bytes of an advert", len(raw), MaxAdvert); err != nil {
				return err
			}
		}
	case *Buckets:
		if len(m.Hashes) != BucketCount {
			return fmt.Errorf("%d hashes, not %d", len(m.Hashes), BucketCount)
		}
	case *Summary:
		if err := atMost("versions", len(m.Versions), MaxSummary); err != nil {
			return err
		}
		for i := range m.Versions {
			if err := checkName(m.Versions[i].Peer); err != nil {
				return err
			}
		}
	case *Notice:
		if m.Kind == 0 {
			return fmt.Errorf("no kind")
		}
		if err := atMost("bytes", len(m.Body), MaxNotice); err != nil {
			return err
		}
		return checkName(m.Peer)
	}
	return nil
}

func (d *Digest) check() error {
	if err := atMost("entries", len(d.Entries), MaxDigest); err != nil {
		return err
	}
	if err := atMost("rumours", len(d.Rumours), MaxRumours); err != nil {
		return err
	}
	for i := range d.Entries {
		l := &d.Entries[i]
		if err := checkName(l.Peer); err != nil {
			return err
		}
		if l.Incarnation == 0 || l.Beat > maxCount || l.Refutes > maxCount || l.FreeCPU < 0 || l.Store > 1000 {
			return fmt.Errorf("an entry of %s that no peer makes", l.Peer)
		}
	}
	for i := range d.Rumours {
		if err := checkName(d.Rumours[i].Peer); err != nil {
			return err
		}
	}
	return nil
}

// maxCount leaves a peer room to outbid what others made up of it.
const maxCount = 1 << 62

func checkName(peer string) error {
	if peer == "" {
		return fmt.Errorf("no peer")
	}
	return atMost("bytes of a peer's ID", len(peer), MaxPeerName)
}

func atMost(what string, n, limit int) error {
	if n > limit {
		return fmt.Errorf("%d %s, at most %d are taken", n, what, limit)
	}
	return nil
}
