package world

import (
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// openJob has the program of another peer's job brought here.
func (p *Peer) openJob(e *sched.JobOpened) {
	if p.programs[e.Job] != nil {
		return
	}
	pr := &program{}
	p.programs[e.Job] = pr
	p.at(p.w.between(20*time.Millisecond, 60*time.Millisecond), func() {
		if p.programs[e.Job] != pr {
			return
		}
		pr.here = true
		p.step(&sched.ProgramHere{Job: e.Job})
		for _, f := range pr.waiting {
			f()
		}
		pr.waiting = nil
	})
}

func (p *Peer) knowClass(e *sched.ClassKnown) {
	key := classKey{e.Job, int(e.Def[0])}
	p.classes[e.Class] = key
	if _, ok := p.classIDs[key]; !ok {
		p.classIDs[key] = e.Class
	}
}

// classID defines a class of a job for the processes of this peer.
func (p *Peer) classID(j *Job, class int) sched.ClassID {
	key := classKey{j.ID, class}
	if id, ok := p.classIDs[key]; ok {
		return id
	}
	p.nextClass++
	id := p.nextClass
	p.classIDs[key], p.classes[id] = id, key
	c := &j.Program.Classes[class]
	p.step(&sched.ClassDefined{Class: id, Job: j.ID, Function: j.function(class), Options: c.Options, Def: []byte{byte(class)}})
	return id
}

func (p *Peer) discardJob(job raygo.JobID) {
	delete(p.programs, job)
	for id := range p.store {
		if id.Job() == job {
			delete(p.store, id)
		}
	}
	for key, id := range p.classIDs {
		if key.job == job {
			delete(p.classIDs, key)
			delete(p.classes, id)
		}
	}
	if j := p.w.byJob[job]; j != nil && j.owner == p {
		j.ended(p)
	}
}
