"""Sample names, bodies, attributes and files, with the Unicode and punctuation that careless code gets wrong."""

AWKWARD_UNIQUE_NAME = "Zürich / Lager №7 – 東京 50% off? #1 & a+b 📦"
AWKWARD_IDENTITY = "zoë+ops@example.com/№1 ünïcode"

SERVICE_NAMES = ("Field Service", "Shop Support 🛍", "Clinic Reminders", "Spare")

TITLES = (
    "Boiler inspection",
    "Delivery window",
    "Réservation café",
    "注文の確認",
    "Roof repair 🏠",
    "عيادة الأسنان",
    'Invoice "2231" & reminder',
    "Onboarding",
)

FIRST_NAMES = ("ada", "bruno", "chloé", "daisuke", "elif", "farah", "gustav", "hana", "ines", "jamal", "kira", "liam")

BODIES = (
    "Hello, this is about your appointment.",
    "Your technician is on the way 🚐",
    "Thanks! See you at 9.",
    "Please confirm with YES.",
    "YES",
    "Könnten Sie bitte das Gartentor öffnen?",
    "お荷物は本日お届けします。",
    "سنصل خلال ساعة",
    "👩‍🔧🔧 done ✅\nPlease leave a review.",
    "Line one\nLine two\ttabbed",
    'He said "call me back" \\ then hung up.',
    "Parking is at 12 Elm St. & the key is with the porter <3",
    "🧑🏽‍🤝‍🧑🏻",
    "Your order №1042 has shipped: https://example.com/t?o=1042&x=%20",
)

ATTRIBUTES = ("{}", "{}", "{}", '{"importance": "high"}', '{"campaign": "früh", "tags": ["a", "b"]}', '{"emoji": "🎉"}')
ROLES = ("{}", '{"role": "driver"}', '{"role": "Kundin", "vip": true}')
TOPICS = ("{}", "{}", '{ "topic": "feedback" }', '{"order": 1042, "note": "naïve ☕"}')

FILES = (
    ("image/jpeg", "photo.jpg"),
    ("image/png", "Bildschirmfoto 2026-01-09.png"),
    ("application/pdf", "請求書.pdf"),
    ("audio/ogg", "voice 🎤.ogg"),
)
