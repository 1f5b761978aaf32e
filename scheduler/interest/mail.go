package interest

// Mail is what is known of one mail besides the person it goes to.
type Mail struct {
	At     int64   // moment of delivery, Unix seconds
	Topic  uint32  // hash of the List-Id or the class; 0: none
	Weight float32 // pressure: promo 1, newsletter .6, triggered .4, transactional .1

	// Level is the known effect of this mail on the log-odds of reading, such as
	// that of a subject which has done well with others; 0: unknown.
	Level float32

	// Campaign is a hash of what mails of one sending share; 0: nothing. The
	// Learner does not take the luck of one campaign for a change of the list.
	Campaign uint32

	// Pressure is what State.Pressure was when the mail was sent; 0: unknown. It
	// lets Resolve learn tolerance also after later mails have gone out.
	Pressure float32
}
