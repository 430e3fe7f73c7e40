"""The sections of the page, and a transport for texts of any kind."""

from playwright.async_api import expect

import evframe

IMAGE = "<img src=x onerror=alert(1)>"
SECTIONS = {"1": "overview", "2": "live", "3": "subscribers", "4": "groups", "5": "letters", "6": "events"}
FLEET = "7"  # is shown in a fleet alone


async def show(page, section):
    """Go to a section by its number."""
    await expect(page.locator("[role=tab][aria-selected=true]")).to_have_count(1)  # the page has begun
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await page.keyboard.press(section)
    await expect(page.locator(f"#{SECTIONS.get(section, 'fleet')}")).to_be_visible()


class Named:
    """A transport whose sockets have any text, and that fails what it gets with such a reason."""

    class Socket:
        expires = True

        def __init__(self, rest):
            self.canonical = f"named:{rest}"

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return self.Socket(rest) if scheme == "named" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        if not isinstance(socket, self.Socket):
            return None
        for index in range(len(batch.events)):
            batch.fail(index, IMAGE)
        return True
