"""One Twilio account, ready to be asked: the operation as a value, the answers kept, and what one operation may take."""
