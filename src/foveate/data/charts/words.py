"""What invented charts speak of: measures, categories and names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measure:
    """Something counted: its name, its unit, and the powers of ten between which its axis ends."""

    name: str
    unit: str
    powers: tuple[int, int]

    @property
    def title(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


MEASURES = (
    Measure("Revenue", "million USD", (1, 3)),
    Measure("Operating profit", "EUR thousand", (1, 3)),
    Measure("Rainfall", "mm", (1, 2)),
    Measure("Population", "thousands", (1, 4)),
    Measure("Energy use", "GWh", (1, 3)),
    Measure("Exports", "tonnes", (2, 4)),
    Measure("Visitors", "", (2, 4)),
    Measure("Enrolment", "students", (2, 4)),
    Measure("Response time", "ms", (1, 3)),
    Measure("Latency", "s", (-1, 1)),
    Measure("Throughput", "MB/s", (1, 3)),
    Measure("Emissions", "Mt CO2", (0, 2)),
    Measure("Yield", "t/ha", (0, 1)),
    Measure("Price index", "2015 = 100", (2, 2)),
    Measure("Concentration", "mg/L", (-1, 1)),
    Measure("Waste collected", "kg", (1, 4)),
    Measure("Patients treated", "", (1, 3)),
    Measure("Downloads", "thousands", (0, 3)),
    Measure("Average score", "points", (1, 2)),
    Measure("Error rate", "%", (0, 1)),
    Measure("Satisfaction", "%", (2, 2)),
    Measure("Water level", "cm", (1, 2)),
    Measure("Steel output", "kt", (1, 3)),
    Measure("Passengers", "per day", (2, 4)),
    Measure("Temperature", "K", (2, 2)),
    Measure("Weight", "g", (0, 3)),
    Measure("Voltage", "V", (-1, 2)),
    Measure("Books lent", "", (1, 3)),
    Measure("Funding", "GBP million", (0, 2)),
    Measure("Fish landed", "tons", (1, 4)),
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
AGES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
# A sequence keeps its order and may begin anywhere; the others are drawn without order.
SETS: dict[str, tuple[str, ...]] = {
    "Country": (
        "Brazil", "Canada", "Chile", "China", "Egypt", "France", "Germany", "Ghana", "India", "Italy",
        "Japan", "Kenya", "Mexico", "Norway", "Peru", "Poland", "Spain", "Sweden", "Turkey", "Vietnam",
    ),
    "Department": (
        "Sales", "Finance", "Legal", "Research", "Support", "Design", "Logistics", "Quality", "IT",
        "Training",
    ),
    "Fruit": ("Apples", "Pears", "Plums", "Grapes", "Figs", "Lemons", "Cherries", "Melons", "Quinces"),
    "Sector": (
        "Farming", "Mining", "Energy", "Retail", "Banking", "Health", "Transport", "Building", "Tourism",
        "Media",
    ),
    "Transport": ("Bus", "Tram", "Metro", "Car", "Bicycle", "Ferry", "On foot", "Train"),
    "Region": ("North", "South", "East", "West", "Centre", "Coast", "Islands", "Uplands"),
    "Material": ("Copper", "Iron", "Nickel", "Zinc", "Tin", "Lead", "Silver", "Cobalt"),
    "Subject": ("Algebra", "Biology", "Chemistry", "Geography", "History", "Latin", "Music", "Physics"),
}  # fmt: skip
ROLES = ("Group", "Plant", "Model", "Sample", "Method", "Team", "Site", "Batch")
STARTS = ("Al", "Bre", "Cor", "Dal", "Es", "Fen", "Gar", "Hol", "Is", "Kel", "Lor", "Mar", "Nor", "Or", "Pel",
          "Ros", "Sel", "Tor", "Ul", "Ven", "Wes", "Yar", "Zan")  # fmt: skip
ENDS = ("dale", "ford", "vik", "mere", "ton", "berg", "aria", "ona", "wick", "stad", "eno", "mont", "ley",
        "ium", "ex", "is", "ora", "field", "port", "gate")  # fmt: skip


def made_up(rng: np.random.Generator, count: int) -> tuple[str, ...]:
    """Different names of places and firms that do not exist."""
    names: dict[str, None] = {}
    while len(names) < count:
        names[str(rng.choice(STARTS)) + str(rng.choice(ENDS))] = None
    return tuple(names)


def _lettered(rng: np.random.Generator, count: int) -> tuple[str, ...]:
    role = str(rng.choice(ROLES))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if rng.random() < 0.6 else [str(n) for n in range(1, 27)]
    return tuple(f"{role} {letter}" for letter in letters[:count])


def sequence(rng: np.random.Generator, count: int) -> tuple[str, tuple[str, ...]]:
    """A title and `count` categories in their order: years, months, days, ages or quarters; up to 12."""
    start = int(rng.integers(1960, 2024 - count))
    step = 1 if rng.random() < 0.7 else 2
    kinds: list[tuple[str, tuple[str, ...]]] = [
        ("Year", tuple(str(start + step * n - (step - 1) * count) for n in range(count))),
        ("Month", tuple(MONTHS[(start + n) % 12] for n in range(count))),
        ("Quarter", tuple(f"Q{n % 4 + 1} '{(start + n // 4) % 100:02d}" for n in range(count))),
        ("Week", tuple(f"W{start % 40 + n + 1}" for n in range(count))),
    ]
    if count <= len(DAYS):
        kinds.append(("Day", DAYS[:count]))
    if count <= len(AGES):
        kinds.append(("Age", AGES[-count:]))
    return kinds[int(rng.integers(len(kinds)))]


def unordered(rng: np.random.Generator, count: int) -> tuple[str, tuple[str, ...]]:
    """A title and `count` different categories without an order of their own, up to 12."""
    fitting = [name for name, members in SETS.items() if len(members) >= count]
    choice = int(rng.integers(len(fitting) + 2))
    if choice < len(fitting):
        title = fitting[choice]
        return title, tuple(map(str, rng.choice(SETS[title], count, replace=False)))
    if choice == len(fitting):
        return str(rng.choice(("Company", "Town", "Brand", "Station"))), made_up(rng, count)
    return "", _lettered(rng, count)


def series_names(rng: np.random.Generator, count: int, taken: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a legend, none of them a category already."""
    while True:
        title, names = unordered(rng, count) if rng.random() < 0.75 else sequence(rng, count)
        if not set(names) & set(taken) and title not in ("Day", "Week", "Month"):
            return names
