package node

import (
	"testing"

	"github.com/raygo/raygo/node/wire"
)

func TestAnswersOfOthersAreNotTaken(t *testing.T) {
	a := newAsks()
	id, s, err := a.begin("p")
	if err != nil {
		t.Fatal(err)
	}
	a.answered("q", &wire.Answer{ID: id})
	a.answered("p", &wire.Answer{ID: id + 1})
	if len(s.parts) != 0 {
		t.Error("an answer of another peer, or to another question, was taken")
	}
	a.answered("p", &wire.Answer{ID: id})
	if len(s.parts) != 1 {
		t.Error("the answer was not taken")
	}
}

func TestQuestionsEndWithThePeer(t *testing.T) {
	a := newAsks()
	_, s, _ := a.begin("p")
	_, other, _ := a.begin("q")
	a.peerGone("p")
	select {
	case <-s.gone:
	default:
		t.Error("the question goes on")
	}
	select {
	case <-other.gone:
		t.Error("a question to another peer ended")
	default:
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	a := newAsks()
	for range maxOpenAsks {
		if _, _, err := a.begin("p"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := a.begin("p"); err == nil {
		t.Errorf("more than %d questions are under way", maxOpenAsks)
	}
	a = newAsks()
	id, s, _ := a.begin("p")
	for range answerParts + 1 {
		a.answered("p", &wire.Answer{ID: id, More: true})
	}
	select {
	case <-s.gone:
	default:
		t.Error("an answer that nobody reads is kept for ever")
	}
}
