"""Write what the documentation has from the code: `python -m tests.docs`. Prints the rooms' floors, arrows and circles."""

from .architecture import PICTURE, draw, read_house
from .generated import write_tables

if __name__ == "__main__":
    write_tables()
    house = read_house()
    print(f"{len(house.imports)} rooms, {len(house.arrows)} arrows, {len(house.circles)} rooms in circles")  # noqa: T201
    for room, below in house.imports.items():
        print(f"  {room} imports {', '.join(sorted(below)) or 'nothing'}")  # noqa: T201
    floors = house.floors
    PICTURE.write_text(draw(house), encoding="utf-8")
    print(f"{len(floors)} floors, {len(house.drawn)} arrows drawn in {PICTURE.name}")  # noqa: T201
