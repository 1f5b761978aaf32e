package intake_test

import (
	_ "tidepost/gateway/intake"
	_ "tidepost/gateway/smtptest"
)
