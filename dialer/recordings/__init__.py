"""Where the sound of calls is kept: moved there from the Asterisk servers, sealed, played by links that expire."""
