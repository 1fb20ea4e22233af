package gossip

import "time"

// Event is something that happened. The events of a Core are all of these; a
// Detector knows those that are marked so.
type Event interface{ event() }

type (
	// Tick says that time has passed: the moment of Next has come. (Detector)
	Tick struct{}
	// LinkUp says that a link to a peer is up. (Detector)
	LinkUp struct {
		Peer        string
		Incarnation uint64 // of its hello
	}
	// LinkDown says that the link is up no more. (Detector)
	LinkDown struct{ Peer string }
	// DialFailed says that a peer could not be reached. (Detector)
	DialFailed struct {
		Peer    string
		Refused bool // the machine answered: nobody listens there
	}
	// Heard says that something came from a peer, whatever it was. A Core needs it
	// only for what it is not given as Received; once in 100 ms is enough. (Detector)
	Heard struct{ Peer string }
	// Received is a message of this package from a peer that has a link.
	Received struct {
		From string
		Body []byte
	}
	// Adverts are signed adverts that came some other way: the hello, the topic.
	Adverts struct{ Raw [][]byte }
	// Own is this peer's new advert, signed. Its Seq rises with every one.
	Own struct{ Raw []byte }
	// OwnLoad is how this peer is doing; only the fields from FreeCPU on are read.
	// It may be given as often as one likes.
	OwnLoad struct{ Load Load }
	// Renewed says that this peer took a new incarnation, after Outlived.
	Renewed struct{ Incarnation uint64 }

	// Known says that a peer is in the cluster, by its signed word. (Detector)
	Known struct {
		Peer        string
		Incarnation uint64
	}
	// Gone says that a peer has left, by its signed word. (Detector)
	Gone struct {
		Peer        string
		Incarnation uint64
	}
	// Answered is a Ping's Ack. (Detector)
	Answered struct {
		Peer string
		N    uint64
	}
	// Asked is a PingReq of another peer. (Detector)
	Asked struct {
		From string
		Req  PingReq
	}
	// Vouched is the answer to a PingReq of ours. (Detector)
	Vouched struct {
		From  string
		Vouch Vouch
	}
	// Accused is a rumour that a peer told. (Detector)
	Accused struct {
		From   string
		Rumour Rumour
	}
	// Refuted says that a peer's entry has so many refutations. (Detector)
	Refuted struct {
		Peer                 string
		Incarnation, Refutes uint64
	}
)

func (*Tick) event()       {}
func (*LinkUp) event()     {}
func (*LinkDown) event()   {}
func (*DialFailed) event() {}
func (*Heard) event()      {}
func (*Received) event()   {}
func (*Adverts) event()    {}
func (*Own) event()        {}
func (*OwnLoad) event()    {}
func (*Renewed) event()    {}
func (*Known) event()      {}
func (*Gone) event()       {}
func (*Answered) event()   {}
func (*Asked) event()      {}
func (*Vouched) event()    {}
func (*Accused) event()    {}
func (*Refuted) event()    {}

// Effect is something to be done. None may block the goroutine that steps.
type Effect interface{ effect() }

type (
	// Send hands bytes to a peer's control stream. If it is full they may be
	// dropped: everything here is said again.
	Send struct {
		To   string
		Body []byte
	}
	// Dial asks to try to reach a peer now; DialFailed or LinkUp answers. (Detector)
	Dial struct{ Peer string }
	// News is an advert that is new here: of a peer that was not known, or a later
	// one. Raw is what can be handed on.
	News struct {
		Advert *Advert
		Raw    []byte
	}
	// Suspected says that a peer is silent; it may be slow or dead. (Detector)
	Suspected struct {
		Peer                 string
		Incarnation, Refutes uint64
	}
	// Recovered ends a suspicion. (Detector)
	Recovered struct {
		Peer        string
		Incarnation uint64
	}
	// Died says that an incarnation is dead, for good. (Detector)
	Died struct {
		Peer        string
		Incarnation uint64
		Reason      string
	}
	// Left says that a peer has left, by its own word. (Detector)
	Left struct {
		Peer        string
		Incarnation uint64
	}
	// Outlived says that others hold this peer's incarnation for dead: it has to
	// take one above Incarnation, sign a new advert, say both with Renewed and Own,
	// and make its links again.
	Outlived struct{ Incarnation uint64 }
	// Misbehaved says that a peer broke the protocol: end its link.
	Misbehaved struct {
		Peer string
		Err  error
	}
	// Starved says that this peer was stopped for a while, and that it believes
	// nothing it concluded from silence. (Detector)
	Starved struct{ Late time.Duration }

	// Probe pings a peer. (Detector)
	Probe struct {
		Peer string
		N    uint64
	}
	// AskOthers has a third peer ping a suspect. (Detector)
	AskOthers struct {
		Via string
		Req PingReq
	}
	// Answer tells an asker how its suspect is. (Detector)
	Answer struct {
		To    string
		Vouch Vouch
	}
	// Stale says that a peer came with an incarnation that is dead. (Detector)
	Stale struct {
		Peer        string
		Incarnation uint64
	}
)

func (*Send) effect()       {}
func (*Dial) effect()       {}
func (*News) effect()       {}
func (*Suspected) effect()  {}
func (*Recovered) effect()  {}
func (*Died) effect()       {}
func (*Left) effect()       {}
func (*Outlived) effect()   {}
func (*Misbehaved) effect() {}
func (*Starved) effect()    {}
func (*Probe) effect()      {}
func (*AskOthers) effect()  {}
func (*Answer) effect()     {}
func (*Stale) effect()      {}
